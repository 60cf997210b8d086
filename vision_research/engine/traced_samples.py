"""Follows single images through the pipelines of a data set: what each transform makes of image, boxes and masks.

The transforms of the very data set that a training reads are watched, so that what is seen is what is trained on;
nothing is run a second time in another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_research.config.errors import ConfigError
from vision_research.engine.hooks.pipeline_stage import datasets_with_transforms
from vision_research.engine.sample_views import View, views


@dataclass(frozen=True)
class Step:
    """What one transform has made of a sample.

    Attributes:
        transform: name of its class.
        views: the image, or the frames of a video; empty where there is none yet, or none any more.
    """

    transform: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class Sample:
    """One image on its way through the pipeline.

    Attributes:
        name: of its file, without the suffix.
        steps: one a transform, in the order they ran.
    """

    name: str
    steps: tuple[Step, ...]

    @property
    def final(self) -> tuple[View, ...]:
        """What goes to the detector."""
        return next((step.views for step in reversed(self.steps) if step.views), ())


class TracedDataset:
    """A built data set whose transforms are watched.

    Args:
        dataset: MMDetection's, with its wrappers; its transforms are replaced by watched ones.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._steps: list[Step] = []
        self._path = ""
        self._loaded = False
        self._loaded_late: bool | None = None
        self.transforms: list[Any] = []
        for node in datasets_with_transforms(dataset):
            self._watch(node)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self._dataset.metainfo["classes"])

    def names(self) -> list[str]:
        """Return the file names of all images, in order."""
        return [_file_name(self._dataset.get_data_info(index)) for index in range(len(self))]

    def trace(self, index: int) -> Sample:
        """Load one image as a training does.

        Raises:
            ConfigError: a transform fails on it, and why.
        """
        self._steps, self._loaded, self._loaded_late = [], False, None
        self._dataset[index]
        return Sample(Path(self._path).stem, tuple(self._steps))

    def fill_caches(self, order: Iterator[int]) -> None:
        """Load images until the transforms that mix from a cache have filled it, as they have early in a training.

        Args:
            order: which images to load.
        """
        wanted = max((getattr(transform, "max_cached_images", 0) for transform in self.transforms), default=0)
        for _ in range(wanted):
            self._dataset[next(order)]

    def _watch(self, node: Any) -> None:
        mixes = hasattr(node, "pipeline_types")
        transforms = node.pipeline if mixes else node.pipeline.transforms
        skipped = getattr(node, "_skip_type_keys", None) or ()
        self.transforms += [one for one in transforms if type(one).__name__ not in skipped]
        transforms[:] = [
            _Watched(one, self, mixes, place, place == len(transforms) - 1) for place, one in enumerate(transforms)
        ]

    def _note(self, transform: Any, results: Any, mixes: bool, place: int, is_last: bool) -> None:
        """Note what a transform has made of the image that is looked at, not of those that are mixed into it."""
        if not mixes and self._loaded:
            return
        if not mixes and place == 0:
            # Anew where a transform has left an image out, and the data set has drawn another.
            self._steps, self._loaded_late = [], None
        if results is None:
            return
        if not mixes:
            self._path = _file_name(results) or self._path
        if self._loaded_late is None and "gt_bboxes" in results:
            self._loaded_late = _loads_late(transform, results)
        self._steps.append(Step(type(transform).__name__, tuple(views(results, bool(self._loaded_late)))))
        self._loaded = self._loaded or is_last


class _Watched:
    """A transform that tells what it has done; in every other respect the transform itself."""

    def __init__(self, transform: Any, traced: TracedDataset, *place: Any) -> None:
        self._transform = transform
        self._traced = traced
        self._place = place

    def __call__(self, results: Any) -> Any:
        try:
            made = self._transform(results)
        except Exception as error:
            name, path = type(self._transform).__name__, _file_name(results)
            raise ConfigError(f"{path or 'an image'}: {name} fails on it ({type(error).__name__}: {error})") from error
        self._traced._note(self._transform, made, *self._place)
        return made

    def __getattr__(self, name: str) -> Any:
        # A mixing wrapper asks its transforms which images they want (`get_indexes`).
        return getattr(self._transform, name)


def _loads_late(transform: Any, results: dict[str, Any]) -> bool:
    """Tell whether annotations were loaded after the image had come to size, as validation does.

    They stay those of the original image then. A video's frames go through one transform that has others inside.
    """
    inner = [type(one).__name__ for one in getattr(transform, "transforms", ())]
    loading = next((place for place, name in enumerate(inner) if name.endswith("Annotations")), None)
    if loading is None:
        return "scale_factor" in results
    return any("Resize" in name for name in inner[:loading])


def choose(names: Sequence[str], wanted: Sequence[str] | None, num: int) -> list[int]:
    """Choose images.

    Args:
        names: file names of all images.
        wanted: names, with or without folder and suffix; None takes `num` of them, spread evenly.
        num: how many.

    Raises:
        KeyError: the first that is not there.
    """
    if wanted is None:
        return [round(place) for place in np.linspace(0, len(names) - 1, min(num, len(names)))]
    places: dict[str, int] = {}
    for index, name in enumerate(names):
        for form in (name, Path(name).name, Path(name).stem):
            places.setdefault(form, index)
    return [places[name] for name in wanted]


def _file_name(info: dict[str, Any]) -> str:
    """Return the path of an image; of a video, that of its first frame; nothing where a packed sample has none."""
    while "images" in info:
        info = info["images"][0]
    path = info.get("img_path", "")
    return str(path[0] if isinstance(path, list) else path)
