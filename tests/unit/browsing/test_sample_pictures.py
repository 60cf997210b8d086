"""Samples are drawn by name, as often as asked, at the end of the pipeline or after every step."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch

from vision_research.browsing.sample_pictures import draw_samples, seed_transforms
from vision_research.browsing.sample_views import View
from vision_research.browsing.traced_samples import Sample, Step


def view(grey: int) -> View:
    return View(np.full((20, 40, 3), grey, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


class FakeDataset:
    """Two transforms, of which the first has no image yet; and two frames in a sample where asked."""

    classes = ("cat",)

    def __init__(self, num_frames: int = 1) -> None:
        self.num_frames = num_frames
        self.cached: list[int] = []

    def __len__(self) -> int:
        return 5

    def trace(self, index: int) -> Sample:
        views = (view(10 * index),) * self.num_frames
        return Sample(f"image{index}", (Step("Nothing", ()), Step("Load", views), Step("Flip", views)))

    def fill_caches(self, order: Sequence[int]) -> None:
        self.cached = list(order)


def test_a_picture_is_what_the_detector_gets_named_by_its_image() -> None:
    drawn = dict(draw_samples(FakeDataset(), [1, 3], repeat=1, steps=False))
    assert {name: image.shape for name, image in drawn.items()} == {"image1": (20, 40, 3), "image3": (20, 40, 3)}
    assert (drawn["image3"] == 30).all()


def test_repeated_pictures_are_numbered() -> None:
    names = [name for name, _ in draw_samples(FakeDataset(), [0, 4], repeat=2, steps=False)]
    assert names == ["image0_1", "image0_2", "image4_1", "image4_2"]


def test_steps_and_frames_stand_side_by_side() -> None:
    ((_, steps),) = draw_samples(FakeDataset(), [1], repeat=1, steps=True)
    assert steps.shape[1] > 2 * 40, "two of the three steps have an image"
    ((_, frames),) = draw_samples(FakeDataset(num_frames=2), [1], repeat=1, steps=False)
    assert frames.shape[1] > 2 * 40


def test_the_same_seed_gives_the_same_numbers_and_cached_images() -> None:
    drawn = []
    for seed in (3, 3, 4):
        dataset = FakeDataset()
        seed_transforms(dataset, seed)
        drawn.append((dataset.cached, random.random(), float(np.random.rand()), float(torch.rand(1))))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))
    assert set(drawn[0][0]) == set(range(5))
