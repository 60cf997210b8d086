"""The transforms of a data set are traced: those of the sample, and none of images that are mixed into it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_research.browsing.traced_samples import TracedDataset
from vision_research.config.errors import ConfigError


class Load:
    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        return {**results, "img": np.full((2, 2, 3), results["number"], np.uint8)}


class DropOdd:
    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        return None if results["number"] % 2 else results


class Brighten:
    max_cached_images = 3

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        return {**results, "img": results["img"] + 100}


class Fail:
    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("gt_masks")


class Files:
    """Reads the next image where a transform drops one, as MMDetection's data sets do."""

    metainfo = {"classes": ("cat", "dog")}

    def __init__(self, *transforms: Any) -> None:
        self.pipeline = SimpleNamespace(transforms=list(transforms))
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return 6

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"img_path": f"/data/{index}.jpg", "number": index}

    def __getitem__(self, index: int) -> Any:
        self.loaded.append(index)
        results: Any = self.get_data_info(index)
        for transform in self.pipeline.transforms:
            results = transform(results)
            if results is None:
                return self[index + 1]
        return results


def test_every_transform_is_a_step_and_the_last_image_goes_to_the_detector() -> None:
    traced = TracedDataset(Files(Load(), Brighten()))
    sample = traced.trace(4)
    assert (sample.name, [step.transform for step in sample.steps]) == ("4", ["Load", "Brighten"])
    assert [int(step.views[0].image[0, 0, 0]) for step in sample.steps] == [4, 104]
    assert sample.final == sample.steps[-1].views
    assert len(traced) == 6 and traced.classes == ("cat", "dog")
    assert traced.names() == [f"/data/{index}.jpg" for index in range(6)]


def test_the_trace_begins_again_where_an_image_is_dropped() -> None:
    sample = TracedDataset(Files(Load(), DropOdd(), Brighten())).trace(3)
    assert sample.name == "4"
    assert [step.transform for step in sample.steps] == ["Load", "DropOdd", "Brighten"]


def test_caches_are_filled_with_as_many_images_as_the_largest_holds() -> None:
    files = Files(Load(), Brighten())
    TracedDataset(files).fill_caches([5, 1, 1, 0, 2])
    assert files.loaded == [5, 1, 1]


def test_a_transform_that_fails_is_named_with_its_image() -> None:
    with pytest.raises(ConfigError, match=r"/data/2\.jpg: Fail fails on it \(KeyError: 'gt_masks'\)"):
        TracedDataset(Files(Load(), Fail())).trace(2)


def test_a_traced_transform_has_the_attributes_of_its_transform() -> None:
    files = Files(Brighten())
    TracedDataset(files)
    assert files.pipeline.transforms[0].max_cached_images == 3
