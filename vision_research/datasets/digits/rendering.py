"""Renders the parts of the embedded images: glyphs of handwritten digits, backgrounds and colours.

The glyphs are the 1,797 digits of scikit-learn (8 x 8, 17 grey levels) and the backgrounds are crops of the two
photographs that it ships, so nothing is downloaded. Random numbers come from the generator that the caller passes.

All images are (H, W, 3) RGB; all coordinates are pixels of the image.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits, load_sample_image

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
# left, top, right, bottom; the last two are exclusive
Box = tuple[int, int, int, int]

# What the photographs show, and their files in scikit-learn.
PHOTOGRAPHS = {"temple": "china.jpg", "flower": "flower.jpg"}
_SEED = 20240229
# The share of the glyphs of each class that a split uses: no glyph is in two splits.
_GLYPH_SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
SPLITS = tuple(_GLYPH_SHARES)
_GLYPH_HEIGHT_PX = (44, 92)
# A gain of 1 keeps the grey levels of the scan; a large one makes hard edges and fills the holes of 4, 8 and 9.
_EDGE_GAIN = 2.0
_JPEG_QUALITY = 92


class Renderer:
    """Draws glyphs, backgrounds and colours for the images of one split.

    Args:
        split: `train`, `val` or `test`; decides which glyphs are used.
    """

    def __init__(self, split: str) -> None:
        self._glyph_indices = glyph_indices(split)
        self._glyphs: UInt8Array = (_load_digits().images * (255 / 16)).round().astype(np.uint8)
        self._photographs = _load_photographs()

    def photograph(self, rng: np.random.Generator) -> int:
        """Choose a photograph, by its index in `PHOTOGRAPHS`."""
        return int(rng.integers(len(self._photographs)))

    def background(self, rng: np.random.Generator, photograph: int, height: int, width: int) -> Float32Array:
        """Crop a photograph, blur it and lower its contrast, so that digits stay legible on it.

        Args:
            rng: chooses the crop and the contrast.
            photograph: index in `PHOTOGRAPHS`.
            height: height of the result, pixels.
            width: width of the result, pixels.

        Returns:
            (height, width, 3) float32 RGB in 0..255.
        """
        whole = self._photographs[photograph]
        crop_height, crop_width = (int(side * rng.uniform(0.3, 0.9)) for side in whole.shape[:2])
        top = int(rng.integers(whole.shape[0] - crop_height, endpoint=True))
        left = int(rng.integers(whole.shape[1] - crop_width, endpoint=True))
        crop = whole[top : top + crop_height, left : left + crop_width].astype(np.float32)
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        crop = cv2.GaussianBlur(crop, (0, 0), sigmaX=1.0).astype(np.float32)
        mean = crop.mean(axis=(0, 1), dtype=np.float32)
        return np.asarray(mean + (crop - mean) * rng.uniform(0.2, 0.5), dtype=np.float32)

    def glyph(self, rng: np.random.Generator) -> tuple[int, Float32Array]:
        """Choose a digit of this split: its label 0 to 9, and its (h, w) float32 opacity in 0..1."""
        label = int(rng.integers(len(self._glyph_indices)))
        return label, _enlarge(rng, self._glyphs[rng.choice(self._glyph_indices[label])])

    @staticmethod
    def colour(rng: np.random.Generator, behind: npt.NDArray[np.floating[Any]]) -> Float32Array:
        """Choose a mild colour: light on a dark background and dark on a light one.

        Args:
            rng: chooses the colour.
            behind: (3,) mean RGB of the background, 0..255.

        Returns:
            (3,) float32 RGB in 0..255.
        """
        light = behind.mean() < 128
        base = rng.uniform(200, 245) if light else rng.uniform(10, 55)
        return np.clip(base + rng.uniform(-35, 35, size=3), 0, 255).astype(np.float32)


def glyph_indices(split: str) -> list[npt.NDArray[np.intp]]:
    """Return which of `load_digits()` a split uses: an (N,) array for each class 0 to 9, disjoint between splits."""
    labels = _load_digits().target
    begin, end = _GLYPH_SHARES[split]
    chosen = []
    for label in range(10):
        indices = np.random.default_rng([_SEED, label]).permutation(np.flatnonzero(labels == label))
        chosen.append(indices[int(begin * len(indices)) : int(end * len(indices))])
    return chosen


def encode_jpeg(image: UInt8Array) -> bytes:
    """Encode an (H, W, 3) uint8 RGB image as JPEG; the same bytes for the same image on one machine."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return bytes(data)


def tight_box(mask: BoolArray) -> Box:
    """Return the smallest box around the set pixels of an (H, W) mask; one pixel at least is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@cache
def _load_digits() -> Any:
    return load_digits()


@cache
def _load_photographs() -> list[UInt8Array]:
    return [load_sample_image(name) for name in PHOTOGRAPHS.values()]


def _enlarge(rng: np.random.Generator, glyph: UInt8Array) -> Float32Array:
    """Enlarge an 8 x 8 glyph smoothly to an (h, w) float32 opacity in 0..1 with a crisp, antialiased edge."""
    height = rng.uniform(*_GLYPH_HEIGHT_PX)
    width = height * rng.uniform(0.8, 1.1)
    # A margin of one cell on each side lets strokes that touch the edge of the glyph end round.
    padded = np.pad(glyph, 1).astype(np.float32) / 255
    size = (max(round(width * 10 / 8), 1), max(round(height * 10 / 8), 1))
    smooth = cv2.resize(padded, size, interpolation=cv2.INTER_CUBIC)
    opacity = np.asarray(np.clip((smooth - 0.45) * _EDGE_GAIN + 0.5, 0, 1), dtype=np.float32)
    left, top, right, bottom = tight_box(opacity > 0.5)
    return opacity[top:bottom, left:right]
