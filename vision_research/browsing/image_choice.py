"""Chooses the images of a data set to draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vision_research.config.command_schema import BrowseConfig
from vision_research.config.errors import ConfigError
from vision_research.config.hints import did_you_mean


def choose_images(names: Sequence[str], group: BrowseConfig) -> list[int]:
    """Choose images by their names, or spread evenly over the data set.

    Args:
        names: file names of all images.
        group: the `browse` group: `images` (with or without folder and suffix), or else their number `num`.

    Returns:
        Indices into `names`.

    Raises:
        ConfigError: the data set has no image of such a name.
    """
    if group.images is None:
        return [round(place) for place in np.linspace(0, len(names) - 1, min(group.num, len(names)))]
    indices: dict[str, int] = {}
    for index, name in enumerate(names):
        for form in (name, Path(name).name, Path(name).stem):
            indices.setdefault(form, index)
    for name in group.images:
        if name not in indices:
            near = did_you_mean(name, [Path(known).name for known in names])
            raise ConfigError(
                f"browse.images={group.images}: {name} is not among the {len(names)} images of browse.phase="
                f"{group.phase.value}.{near}"
            )
    return [indices[name] for name in group.images]
