"""The integer resize against the installed OpenCV: not one grey level may differ."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vision_research.ops.resize import resize_bilinear, resize_floats


def differing_pixels(source: tuple[int, int], target: tuple[int, int], seed: int = 0) -> int:
    image = np.random.default_rng(seed).integers(0, 256, (*source, 3), dtype=np.uint8)
    expected = cv2.resize(image, (target[1], target[0]), interpolation=cv2.INTER_LINEAR)
    got = resize_bilinear(torch.from_numpy(image), *target).numpy()
    assert got.dtype == np.uint8 and got.shape == (*target, 3)
    return int((got != expected).sum())


SIZES = pytest.mark.parametrize(
    ("source", "target"),
    [
        ((480, 640), (480, 640)),  # nothing to do
        ((480, 640), (240, 320)),  # exact halving, which OpenCV computes as an area mean
        ((480, 640), (240, 319)),  # halved on one axis only
        ((481, 641), (240, 320)),  # nearly halved
        ((120, 160), (240, 320)),  # doubled
        ((97, 131), (640, 473)),  # up, odd sizes
        ((901, 1333), (160, 237)),  # far down: rows are fetched first
        ((1, 50), (7, 20)),  # one row
        ((50, 1), (20, 7)),  # one column
        ((1, 1), (5, 3)),  # one pixel
        ((33, 47), (1, 1)),  # to one pixel
        ((2, 2), (1, 1)),  # halved to one pixel
    ],
)


@SIZES
def test_a_resize_in_floats_equals_opencv(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    expected = cv2.resize(image.astype(np.float32), (target[1], target[0]), interpolation=cv2.INTER_LINEAR)

    # To the bit with the kernels that OpenCV takes here; those for a single row, or for other CPUs, round otherwise.
    assert np.abs(resize_floats(torch.from_numpy(image), *target).numpy() - expected).max() < 5e-5


@SIZES
def test_resize_equals_opencv(source: tuple[int, int], target: tuple[int, int]) -> None:
    assert differing_pixels(source, target) == 0


@pytest.mark.slow
def test_resize_equals_opencv_for_three_hundred_random_sizes() -> None:
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 150, (300, 4)).tolist()

    assert sum(differing_pixels((a, b), (c, d), seed) for seed, (a, b, c, d) in enumerate(sizes)) == 0


def test_black_and_white_stay_black_and_white() -> None:
    for level in (0, 255):
        image = torch.full((31, 17, 3), level, dtype=torch.uint8)
        assert torch.equal(resize_bilinear(image, 50, 40), torch.full((50, 40, 3), level, dtype=torch.uint8))
