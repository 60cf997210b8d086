"""Draws the pictures of the embedded data set: real handwritten digits on crops of photographs.

Deterministic: one generator of random numbers per picture, seeded by split and number. The digits are the 1,797 of
scikit-learn (8 x 8, 17 grey levels) and the photographs are the two it ships; nothing is downloaded.

All images are (H, W, 3) uint8, RGB; all coordinates are pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api
from sklearn.datasets import load_digits, load_sample_image

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# What the photographs show, and their files in scikit-learn.
SCENES = {"temple": "china.jpg", "flower": "flower.jpg"}
_SEED = 20240229
# Shares of the glyphs of each class; the rest is for test. No glyph is in two splits.
_GLYPH_SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
# Small pictures, large digits, many of them: what a detector learns per second of a CPU decides the length of the demo.
_IMAGE_SIZE_PX = (160, 224)
_GLYPH_HEIGHT_PX = (44, 92)
_NUM_DIGITS = (3, 8)
# Boxes may share this much of the smaller one: overlaps are part of the task, riddles are not.
_MAX_SHARED = 0.15
# 1 would keep the grey levels of the scan, a large value makes hard edges and fills the holes of 4, 8 and 9.
_EDGE_GAIN = 2.0
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class DrawnDigit:
    """One digit as it is seen in a picture.

    Attributes:
        label: 0 to 9.
        mask: (H, W) bool, its visible pixels.
        box: left, top, right, bottom (the last two exclusive) of all of its pixels, seen or hidden by a later digit.
    """

    label: int
    mask: BoolArray
    box: tuple[int, int, int, int]

    def to_coco(self) -> dict[str, object]:
        """Describe it as COCO does: xywh box tight around the visible pixels, run-length mask, area in pixels."""
        left, top, right, bottom = _tight_box(self.mask)
        return {
            "category_id": self.label + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": int(self.mask.sum()),
            "iscrowd": 0,
            "segmentation": run_lengths(self.mask),
        }


@dataclass(frozen=True)
class Picture:
    """A picture and what is in it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        scene: index into SCENES of the photograph behind the digits.
        digits: in the order they were drawn.
    """

    image: UInt8Array
    scene: int
    digits: tuple[DrawnDigit, ...]


class DigitsRenderer:
    """Draws the pictures of one split."""

    def __init__(self, split: str) -> None:
        """Load glyphs and photographs.

        Args:
            split: `train`, `val` or `test`; decides which glyphs may appear.
        """
        self._split_index = list(_GLYPH_SHARES).index(split)
        self.glyph_indices = glyph_indices(split)
        self._glyphs: UInt8Array = (load_digits().images * (255 / 16)).round().astype(np.uint8)
        self._photographs: list[UInt8Array] = [load_sample_image(name) for name in SCENES.values()]

    def render(self, number: int) -> Picture:
        """Draw picture `number`; the same number gives the same picture."""
        rng = np.random.default_rng([_SEED, self._split_index, number])
        height, width = (int(size) for size in rng.integers(*_IMAGE_SIZE_PX, size=2, endpoint=True))
        scene = self.scene(rng)
        canvas = self.background(rng, scene, height, width)
        digits: list[DrawnDigit] = []
        wanted = int(rng.integers(*_NUM_DIGITS, endpoint=True))
        for _ in range(6 * wanted):
            if len(digits) < wanted:
                digits = self._draw_one(rng, canvas, digits)
        return Picture(canvas.round().astype(np.uint8), scene, tuple(digits))

    def scene(self, rng: np.random.Generator) -> int:
        """Choose a photograph: its index in SCENES."""
        return int(rng.integers(len(self._photographs)))

    def background(self, rng: np.random.Generator, scene: int, height: int, width: int) -> Float32Array:
        """Crop a photograph, soften it and flatten its contrast, so that digits stay legible on it."""
        photograph = self._photographs[scene]
        crop_height, crop_width = (int(side * rng.uniform(0.3, 0.9)) for side in photograph.shape[:2])
        top = int(rng.integers(photograph.shape[0] - crop_height, endpoint=True))
        left = int(rng.integers(photograph.shape[1] - crop_width, endpoint=True))
        crop = photograph[top : top + crop_height, left : left + crop_width].astype(np.float32)
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        crop = cv2.GaussianBlur(crop, (0, 0), sigmaX=1.0).astype(np.float32)
        mean = crop.mean(axis=(0, 1), dtype=np.float32)
        return np.asarray(mean + (crop - mean) * rng.uniform(0.2, 0.5), dtype=np.float32)

    def glyph(self, rng: np.random.Generator) -> tuple[int, Float32Array]:
        """Choose a digit of this split: its label, and its (h, w) opacity in 0..1."""
        label = int(rng.integers(len(self.glyph_indices)))
        return label, _enlarge(rng, self._glyphs[rng.choice(self.glyph_indices[label])])

    @staticmethod
    def colour(rng: np.random.Generator, behind: npt.NDArray[np.floating[Any]]) -> Float32Array:
        """Pick a mild colour, light on dark ground and dark on light; (3,) float32 RGB in 0..255."""
        light = behind.mean() < 128
        base = rng.uniform(200, 245) if light else rng.uniform(10, 55)
        return np.clip(base + rng.uniform(-35, 35, size=3), 0, 255).astype(np.float32)

    def _draw_one(self, rng: np.random.Generator, canvas: Float32Array, digits: list[DrawnDigit]) -> list[DrawnDigit]:
        """Try one digit at one place; draws on `canvas` and returns the longer list, or changes nothing."""
        label, opacity = self.glyph(rng)
        height, width = opacity.shape
        if height > canvas.shape[0] or width > canvas.shape[1]:
            return digits
        top = int(rng.integers(canvas.shape[0] - height, endpoint=True))
        left = int(rng.integers(canvas.shape[1] - width, endpoint=True))
        window = (slice(top, top + height), slice(left, left + width))
        box = (left, top, left + width, top + height)
        if any(_shared(digit.box, box) > _MAX_SHARED for digit in digits):
            return digits
        mask = np.zeros(canvas.shape[:2], dtype=bool)
        mask[window] = opacity > 0.5
        colour = self.colour(rng, canvas[window].mean(axis=(0, 1)))
        canvas[window] += (colour - canvas[window]) * opacity[..., None]
        covered = [DrawnDigit(digit.label, digit.mask & ~mask, digit.box) for digit in digits]
        return [*covered, DrawnDigit(label, mask, box)]


def glyph_indices(split: str) -> list[npt.NDArray[np.intp]]:
    """Say which of scikit-learn's digits a split may use.

    Args:
        split: `train`, `val` or `test`.

    Returns:
        Per class 0 to 9 an (N,) array of indices into `load_digits()`; disjoint between splits.
    """
    labels = load_digits().target
    begin, end = _GLYPH_SHARES[split]
    chosen = []
    for label in range(10):
        indices = np.random.default_rng([_SEED, label]).permutation(np.flatnonzero(labels == label))
        chosen.append(indices[int(begin * len(indices)) : int(end * len(indices))])
    return chosen


def run_lengths(mask: BoolArray) -> dict[str, object]:
    """Write an (H, W) mask as COCO does. Run lengths and not polygons: 0, 4, 6, 8 and 9 have holes."""
    encoded: dict[str, Any] = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def encode_jpeg(image: UInt8Array) -> bytes:
    """Encode an (H, W, 3) uint8 RGB image as JPEG; the same bytes for the same image on one machine."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return bytes(data)


def _enlarge(rng: np.random.Generator, glyph: UInt8Array) -> Float32Array:
    """Enlarge an 8 x 8 glyph smoothly to an (h, w) float32 opacity in 0..1 with a crisp, antialiased edge."""
    height = rng.uniform(*_GLYPH_HEIGHT_PX)
    width = height * rng.uniform(0.8, 1.1)
    # A margin of one cell on each side lets strokes that touch the edge of the glyph end round.
    padded = np.pad(glyph, 1).astype(np.float32) / 255
    size = (max(round(width * 10 / 8), 1), max(round(height * 10 / 8), 1))
    smooth = cv2.resize(padded, size, interpolation=cv2.INTER_CUBIC)
    opacity = np.asarray(np.clip((smooth - 0.45) * _EDGE_GAIN + 0.5, 0, 1), dtype=np.float32)
    left, top, right, bottom = _tight_box(opacity > 0.5)
    return opacity[top:bottom, left:right]


def _tight_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """Bound the set pixels of an (H, W) mask: left, top, right, bottom, the last two exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection of two boxes over the area of the smaller one."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
