"""Draws the videos of the embedded tracking data set: handwritten digits that move over a photograph, past each other.

Deterministic: one generator of random numbers per video, seeded by split and number. Glyphs, photographs and colours
are those of `digits_render`; no glyph is in two splits.

All images are (H, W, 3) uint8, RGB; all coordinates are pixels of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vision_research.datasets.digits_render import BoolArray, DigitsRenderer, Float32Array, UInt8Array

HEIGHT, WIDTH = 192, 224
NUM_FRAMES = 24
_SEED = 20240301
_NUM_DIGITS = (4, 6)
# Pixels a frame along each axis: boxes of one track overlap from frame to frame, as people's do at 25 frames a second.
_SPEED_PX = (1.5, 5.0)


@dataclass(frozen=True)
class TrackedDigit:
    """One digit in one frame.

    Attributes:
        track_id: the same in every frame of the video, from 0.
        box: left, top, right, bottom (the last two exclusive) of all of its pixels, seen or hidden.
        visibility: share of its pixels that no other digit hides.
        mask: (H, W) bool, the pixels that no other digit hides; none of them is set where it is wholly hidden.
    """

    track_id: int
    box: tuple[int, int, int, int]
    visibility: float
    mask: BoolArray


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        digits: from the one at the back to the one in front.
    """

    image: UInt8Array
    digits: tuple[TrackedDigit, ...]


@dataclass
class _Moving:
    """A digit on its way: (h, w) opacity in 0..1, colour (3,), place of its corner and speed, both (x, y) in pixels."""

    opacity: Float32Array
    colour: Float32Array
    place: Float32Array
    speed: Float32Array

    def step(self) -> None:
        """Go on by one frame; a digit that meets a side turns round."""
        room = np.array([WIDTH - self.opacity.shape[1], HEIGHT - self.opacity.shape[0]], np.float32)
        self.place = self.place + self.speed
        beyond = (self.place < 0) | (self.place > room)
        self.speed = np.where(beyond, -self.speed, self.speed)
        self.place = np.clip(self.place, 0, room)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        left, top = (int(round(float(value))) for value in self.place)
        return left, top, left + self.opacity.shape[1], top + self.opacity.shape[0]


class VideoRenderer:
    """Draws the videos of one split."""

    def __init__(self, split: str) -> None:
        """Load glyphs and photographs.

        Args:
            split: `train`, `val` or `test`; decides which glyphs may appear.
        """
        self._stills = DigitsRenderer(split)
        self._split_index = ("train", "val", "test").index(split)

    def render(self, number: int) -> Iterator[Frame]:
        """Draw video `number`, frame by frame; the same number gives the same video."""
        rng = np.random.default_rng([_SEED, self._split_index, number])
        background = self._stills.background(rng, self._stills.scene(rng), HEIGHT, WIDTH)
        moving = [self._start(rng, background) for _ in range(int(rng.integers(*_NUM_DIGITS, endpoint=True)))]
        for _ in range(NUM_FRAMES):
            yield _draw(background, moving)
            for digit in moving:
                digit.step()

    def _start(self, rng: np.random.Generator, background: Float32Array) -> _Moving:
        opacity = self._stills.glyph(rng)[1]
        room = np.array([WIDTH - opacity.shape[1], HEIGHT - opacity.shape[0]])
        place = (rng.uniform(0, 1, 2) * room).astype(np.float32)
        speed = (rng.uniform(*_SPEED_PX, 2) * rng.choice([-1, 1], 2)).astype(np.float32)
        return _Moving(opacity, self._stills.colour(rng, background.mean(axis=(0, 1))), place, speed)


def _draw(background: Float32Array, moving: list[_Moving]) -> Frame:
    canvas = background.copy()
    masks: list[BoolArray] = []
    for digit in moving:
        left, top, right, bottom = digit.box
        window = (slice(top, bottom), slice(left, right))
        canvas[window] += (digit.colour - canvas[window]) * digit.opacity[..., None]
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        mask[window] = digit.opacity > 0.5
        masks.append(mask)
    in_front = np.zeros((HEIGHT, WIDTH), dtype=bool)
    seen: list[BoolArray] = []
    for mask in reversed(masks):
        seen.append(mask & ~in_front)
        in_front |= mask
    digits = [
        TrackedDigit(track, digit.box, float(visible.sum() / mask.sum()), visible)
        for track, (digit, mask, visible) in enumerate(zip(moving, masks, reversed(seen), strict=True))
    ]
    return Frame(canvas.round().astype(np.uint8), tuple(digits))
