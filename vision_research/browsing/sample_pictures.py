"""Draws samples of a data set after its pipeline, or after each step of the pipeline."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_research.browsing.sample_views import View
from vision_research.browsing.traced_samples import Sample, TracedDataset
from vision_research.config.command_schema import BrowseConfig
from vision_research.config.errors import ConfigError
from vision_research.config.hints import did_you_mean
from vision_research.console.progress_bar import counting
from vision_research.visualization.boxes import draw_boxes
from vision_research.visualization.picture_files import contact_sheet


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


_STEPS_PER_ROW = 5
_FRAMES_PER_ROW = 6
_FRAME_SIDE_PX = 640


def draw_samples(
    dataset: TracedDataset, indices: Sequence[int], repeat: int, steps: bool
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Load and draw samples of a data set.

    Args:
        dataset: the traced data set.
        indices: indices of the samples.
        repeat: how often each sample is loaded and drawn, each time with a new augmentation.
        steps: draw each sample after every step of the pipeline, side by side.

    Yields:
        The name of a picture, and the picture: (H, W, 3) uint8 BGR.
    """
    classes = [*dataset.classes, "ignored"]
    with counting("drawing", len(indices) * repeat) as count:
        for index in indices:
            for turn in range(1, repeat + 1):
                sample = dataset.trace(index)
                picture = _steps(sample, classes) if steps else _side_by_side(sample.final, classes)
                yield f"{sample.name}_{turn}" if repeat > 1 else sample.name, picture
                count.advance()


def seed_transforms(dataset: TracedDataset, seed: int) -> None:
    """Seed the random generators of transforms, and fill the caches of transforms that mix images.

    The same seed gives the same pictures.

    Args:
        dataset: the traced data set.
        seed: seed of torch, numpy and Python.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # MMDetection's transforms draw from numpy's global generator
    torch.manual_seed(seed)
    dataset.fill_caches(np.random.randint(0, len(dataset), 10_000).tolist())  # noqa: NPY002


def _steps(sample: Sample, classes: Sequence[str]) -> NDArray[np.uint8]:
    shown = [step for step in sample.steps if step.views]
    captions = [f"{number}. {step.transform}" for number, step in enumerate(shown, 1)]
    images = [_side_by_side(step.views, classes) for step in shown]
    return contact_sheet(list(zip(captions, images, strict=True)), _STEPS_PER_ROW)


def _side_by_side(views: Sequence[View], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Draw the image of a sample, or the frames of a video side by side."""
    images = [draw_boxes(view.image, view.boxes, None, view.labels, classes, view.masks) for view in views]
    if len(images) == 1:
        return images[0]
    return contact_sheet([("", image) for image in images], min(len(images), _FRAMES_PER_ROW), _FRAME_SIDE_PX)
