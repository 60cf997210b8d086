"""Generates scenes of digits: single images, and videos in which digits move past each other.

A scene is an image together with the label, box, visible mask and track of each of its digits. Every image and every
video has a random generator of its own, seeded by split and number, so the same number always gives the same pixels.

All images are (H, W, 3) uint8 RGB; all coordinates are pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vision_research.datasets.digits.rendering import SPLITS, BoolArray, Box, Float32Array, Renderer, UInt8Array

_IMAGE_SEED, _VIDEO_SEED = 20240229, 20240301
# Small images with many large digits, which a detector learns quickly on a CPU.
_IMAGE_SIZE_PX = (160, 224)
_DIGITS_IN_IMAGE = (3, 8)
# The largest intersection of two boxes, as a share of the smaller one, with which digits are still legible.
_MAX_OVERLAP = 0.15
VIDEO_HEIGHT_PX, VIDEO_WIDTH_PX = 192, 224
FRAMES_IN_VIDEO = 24
_DIGITS_IN_VIDEO = (4, 6)
# Pixels per frame along each axis, so that the boxes of a track overlap from frame to frame.
_SPEED_PX = (1.5, 5.0)


@dataclass(frozen=True)
class SceneDigit:
    """One digit of a scene.

    Attributes:
        label: 0 to 9.
        track_id: position in the drawing order from 0; the same in every frame of a video.
        box: box of all of its pixels, visible or hidden by another digit.
        mask: (H, W) bool, the pixels that no other digit hides; empty where the digit is wholly hidden.
        visibility: share of its pixels that no other digit hides.
    """

    label: int
    track_id: int
    box: Box
    mask: BoolArray
    visibility: float


@dataclass(frozen=True)
class Scene:
    """An image, or a frame of a video, and what it shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        photograph: index in `rendering.PHOTOGRAPHS` of the background.
        digits: digits from back to front.
    """

    image: UInt8Array
    photograph: int
    digits: tuple[SceneDigit, ...]


class SceneGenerator:
    """Generates the scenes of one split.

    Args:
        split: `train`, `val` or `test`; decides which glyphs are used.
    """

    def __init__(self, split: str) -> None:
        self._renderer = Renderer(split)
        self._split_index = SPLITS.index(split)

    def image(self, number: int) -> Scene:
        """Generate image `number`: three to eight digits that hardly overlap."""
        rng = np.random.default_rng([_IMAGE_SEED, self._split_index, number])
        height, width = (int(size) for size in rng.integers(*_IMAGE_SIZE_PX, size=2, endpoint=True))
        photograph = self._renderer.photograph(rng)
        canvas = self._renderer.background(rng, photograph, height, width)
        digits: list[_Placed] = []
        num_digits = int(rng.integers(*_DIGITS_IN_IMAGE, endpoint=True))
        for _ in range(6 * num_digits):
            if len(digits) < num_digits and (digit := self._placed(rng, canvas, digits)) is not None:
                digit.draw(canvas)
                digits.append(digit)
        return _scene(canvas, photograph, digits)

    def video(self, number: int) -> Iterator[Scene]:
        """Generate video `number`, frame by frame: four to six digits that move and hide each other."""
        rng = np.random.default_rng([_VIDEO_SEED, self._split_index, number])
        photograph = self._renderer.photograph(rng)
        background = self._renderer.background(rng, photograph, VIDEO_HEIGHT_PX, VIDEO_WIDTH_PX)
        num_digits = int(rng.integers(*_DIGITS_IN_VIDEO, endpoint=True))
        moving = [self._moving(rng, background) for _ in range(num_digits)]
        for _ in range(FRAMES_IN_VIDEO):
            canvas = background.copy()
            digits = [one.placed() for one in moving]
            for digit in digits:
                digit.draw(canvas)
            yield _scene(canvas, photograph, digits)
            for one in moving:
                one.step()

    def _placed(self, rng: np.random.Generator, canvas: Float32Array, others: Sequence[_Placed]) -> _Placed | None:
        """Place a random digit at random; None if it does not fit or overlaps another one too much."""
        label, opacity = self._renderer.glyph(rng)
        height, width = opacity.shape
        if height > canvas.shape[0] or width > canvas.shape[1]:
            return None
        top = int(rng.integers(canvas.shape[0] - height, endpoint=True))
        left = int(rng.integers(canvas.shape[1] - width, endpoint=True))
        box = (left, top, left + width, top + height)
        if any(_overlap(other.box, box) > _MAX_OVERLAP for other in others):
            return None
        behind = canvas[top : top + height, left : left + width].mean(axis=(0, 1))
        return _Placed(label, opacity, self._renderer.colour(rng, behind), left, top)

    def _moving(self, rng: np.random.Generator, background: Float32Array) -> _Moving:
        label, opacity = self._renderer.glyph(rng)
        room = np.array([VIDEO_WIDTH_PX - opacity.shape[1], VIDEO_HEIGHT_PX - opacity.shape[0]])
        position = (rng.uniform(0, 1, 2) * room).astype(np.float32)
        speed = (rng.uniform(*_SPEED_PX, 2) * rng.choice([-1, 1], 2)).astype(np.float32)
        colour = self._renderer.colour(rng, background.mean(axis=(0, 1)))
        return _Moving(_Placed(label, opacity, colour, 0, 0), position, speed)


@dataclass(frozen=True)
class _Placed:
    """A digit at its place: label, (h, w) opacity in 0..1, (3,) colour, and the pixel of its upper left corner."""

    label: int
    opacity: Float32Array
    colour: Float32Array
    left: int
    top: int

    @property
    def box(self) -> Box:
        return self.left, self.top, self.left + self.opacity.shape[1], self.top + self.opacity.shape[0]

    def draw(self, canvas: Float32Array) -> None:
        """Draw it on an (H, W, 3) canvas."""
        window = self._window()
        canvas[window] += (self.colour - canvas[window]) * self.opacity[..., None]

    def mask(self, shape: tuple[int, ...]) -> BoolArray:
        """Return its pixels, visible or not, in an image of this shape."""
        mask = np.zeros(shape, dtype=bool)
        mask[self._window()] = self.opacity > 0.5
        return mask

    def _window(self) -> tuple[slice, slice]:
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)


@dataclass
class _Moving:
    """A digit of a video, with its position and speed along x and y: (2,) float32, pixels and pixels per frame."""

    digit: _Placed
    position: Float32Array
    speed: Float32Array

    def placed(self) -> _Placed:
        """Return the digit where it is in this frame."""
        left, top = (int(round(float(value))) for value in self.position)
        return replace(self.digit, left=left, top=top)

    def step(self) -> None:
        """Move on by one frame; a digit that reaches a side of the image turns back."""
        height, width = self.digit.opacity.shape
        room = np.array([VIDEO_WIDTH_PX - width, VIDEO_HEIGHT_PX - height], np.float32)
        self.position = self.position + self.speed
        beyond = (self.position < 0) | (self.position > room)
        self.speed = np.where(beyond, -self.speed, self.speed)
        self.position = np.clip(self.position, 0, room)


def _scene(canvas: Float32Array, photograph: int, placed: Sequence[_Placed]) -> Scene:
    """Return the scene of a canvas on which the digits were drawn in this order."""
    in_front = np.zeros(canvas.shape[:2], dtype=bool)
    digits = []
    for track_id, digit in reversed(list(enumerate(placed))):
        whole = digit.mask(canvas.shape[:2])
        visible = whole & ~in_front
        in_front |= whole
        digits.append(SceneDigit(digit.label, track_id, digit.box, visible, float(visible.sum() / whole.sum())))
    return Scene(canvas.round().astype(np.uint8), photograph, tuple(reversed(digits)))


def _overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over the area of the smaller one."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
