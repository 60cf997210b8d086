"""Records the image, boxes and masks of a sample after each transform of a data set's pipeline.

The data set is built as for a training, and its own transforms are wrapped, so that the records show what the training
uses.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.browsing.sample_views import View, views
from vision_research.config.errors import ConfigError
from vision_research.config.tree import kind_of
from vision_research.engine.hooks.pipeline_stage import datasets_with_transforms, switch_pipelines


@dataclass(frozen=True)
class Step:
    """A sample after one transform.

    Attributes:
        transform: name of the transform's class.
        views: the image, or the frames of a video; empty where the results have no image.
    """

    transform: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class Sample:
    """A sample of a data set after every step of its pipeline.

    Attributes:
        name: name of the image file, without the suffix.
        steps: one for each transform, in the order in which they ran.
    """

    name: str
    steps: tuple[Step, ...]

    @property
    def final(self) -> tuple[View, ...]:
        """Return the input of the detector."""
        return next((step.views for step in reversed(self.steps) if step.views), ())


class TracedDataset:
    """A built data set whose transforms are traced.

    Args:
        dataset: a data set of MMDetection, with its wrappers; its transforms are replaced by traced ones.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._steps: list[Step] = []
        self._path = ""
        self._loaded = False
        self._loaded_late: bool | None = None
        self.transforms: list[Any] = []
        for node in datasets_with_transforms(dataset):
            self._wrap_transforms(node)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self._dataset.metainfo["classes"])

    def names(self) -> list[str]:
        """Return the file names of all images, in order."""
        return [_file_name(self._dataset.get_data_info(index)) for index in range(len(self))]

    def trace(self, index: int) -> Sample:
        """Load the sample of an index as a training does.

        Raises:
            ConfigError: a transform fails on it.
        """
        self._steps, self._loaded, self._loaded_late = [], False, None
        self._dataset[index]
        return Sample(Path(self._path).stem, tuple(self._steps))

    def fill_caches(self, order: Sequence[int]) -> None:
        """Load images, in this order of indices, until the caches of transforms that mix images are full."""
        num_cached = max((getattr(transform, "max_cached_images", 0) for transform in self.transforms), default=0)
        for index in order[:num_cached]:
            self._dataset[index]

    def _wrap_transforms(self, node: Any) -> None:
        mixes = hasattr(node, "pipeline_types")
        transforms = node.pipeline if mixes else node.pipeline.transforms
        skipped = getattr(node, "_skip_type_keys", None) or ()
        self.transforms += [one for one in transforms if type(one).__name__ not in skipped]
        transforms[:] = [
            _TracedTransform(one, self, mixes, place, place == len(transforms) - 1)
            for place, one in enumerate(transforms)
        ]

    def _record(self, transform: Any, results: Any, mixes: bool, place: int, is_last: bool) -> None:
        """Record the results of a transform for the traced image; images that are mixed into it are not recorded.

        The results are None if it dropped the image. `mixes`: it belongs to the wrapper that mixes images, and not to
        the inner data set. `place` is its index in its pipeline.
        """
        if not mixes and self._loaded:
            return
        if not mixes and place == 0:
            # A transform has dropped an image and the data set has drawn another one: start the record again.
            self._steps, self._loaded_late = [], None
        if results is None:
            return
        if not mixes:
            self._path = _file_name(results) or self._path
        if self._loaded_late is None and "gt_bboxes" in results:
            self._loaded_late = _loads_late(transform, results)
        self._steps.append(Step(type(transform).__name__, tuple(views(results, bool(self._loaded_late)))))
        self._loaded = self._loaded or is_last


class _TracedTransform:
    """A transform that records its result in a `TracedDataset`, and otherwise behaves as the wrapped one."""

    def __init__(self, transform: Any, traced: TracedDataset, *place: Any) -> None:
        self._transform = transform
        self._traced = traced
        self._place = place

    def __call__(self, results: Any) -> Any:
        try:
            returned = self._transform(results)
        except Exception as error:
            name, path = type(self._transform).__name__, _file_name(results)
            raise ConfigError(f"{path or 'an image'}: {name} fails on it ({type(error).__name__}: {error})") from error
        self._traced._record(self._transform, returned, *self._place)
        return returned

    def __getattr__(self, name: str) -> Any:
        # A wrapper that mixes images calls `get_indexes` of its transforms.
        return getattr(self._transform, name)


def _loads_late(transform: Any, results: dict[str, Any]) -> bool:
    """Tell whether annotations were loaded after the image was resized, as in validation.

    They are then in pixels of the original image. For videos, one transform contains those of the frames.
    """
    inner = [type(one).__name__ for one in getattr(transform, "transforms", ())]
    loading = next((place for place, name in enumerate(inner) if name.endswith("Annotations")), None)
    if loading is None:
        return "scale_factor" in results
    return any("Resize" in name for name in inner[:loading])


def _file_name(info: dict[str, Any]) -> str:
    """Return the path of an image, that of the first frame of a video, or "" for a packed sample."""
    while "images" in info:
        info = info["images"][0]
    path = info.get("img_path", "")
    return str(path[0] if isinstance(path, list) else path)


def describe_transforms(transforms: Sequence[Any]) -> list[str]:
    """Return a line for each built transform, in the order in which they run: number, class, file and line."""
    names = [type(transform).__name__ for transform in transforms]
    width = max(map(len, names), default=0)
    return [
        f"{number:2}. {name:{width}}  {_location(type(transform))}"
        for number, (name, transform) in enumerate(zip(names, transforms, strict=True), 1)
    ]


def _location(kind: type) -> str:
    """Return file and line of a class, for an editor: a relative path below the current folder, absolute elsewhere."""
    file = Path(inspect.getsourcefile(kind) or "?")
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f"{shown}:{inspect.getsourcelines(kind)[1]}"


def switch_to_second_stage(dataset: Any, config: dict[str, Any]) -> None:
    """Switch a data set to the pipeline of the second stage.

    Args:
        dataset: a built data set, changed in place.
        config: the lowered config, whose hooks define the second stage.

    Raises:
        ConfigError: the training has only one stage.
    """
    hooks = {kind_of(hook): hook for hook in config["custom_hooks"]}
    if "YOLOXModeSwitchHook" in hooks:
        skipped = hooks["YOLOXModeSwitchHook"].get("skip_type_keys", ("Mosaic", "RandomAffine", "MixUp"))
        dataset.update_skip_type_keys(skipped)
    elif "PipelineSwitchHook" in hooks:
        switch_pipelines(dataset, hooks["PipelineSwitchHook"]["switch_pipeline"])
    elif "PipelineStageHook" in hooks:
        switch_pipelines(dataset, hooks["PipelineStageHook"]["pipeline"])
    else:
        raise ConfigError(
            "browse.stage=2: this training has one stage. Type browse.stage=1, or an augmentation with a weak end: "
            "aug=mosaic_mixup schedule=1x aug.final_epochs=2"
        )
