"""The data set `digits_reid`: crops of moving digits with their identities, for re-identification.

    <root>/annotations/{train,val}.txt             a line `<file> <identity>` per crop, for MMDetection's ReIDDataset
    <root>/images/<split>/<identity>/000001.jpg    the crops

The crops are cut from the frames of `digits_video`; no identity is in two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vision_research.datasets.digits.maker import EmbeddedDataset

if TYPE_CHECKING:
    from vision_research.datasets.digits.rendering import UInt8Array
    from vision_research.datasets.digits.scenes import Scene

# MMDetection's mot2reid.py keeps persons of which at least this fraction is visible.
_MIN_VISIBILITY = 0.3
# A digit hardly changes from one frame to the next, so crops are taken from every third frame.
_FRAME_STEP = 3


def _write_split(root: Path, split: str, num_videos: int) -> None:
    from vision_research.datasets.digits.rendering import encode_jpeg
    from vision_research.datasets.digits.scenes import SceneGenerator

    generator = SceneGenerator(split)
    lines: list[str] = []
    identities: dict[tuple[int, int], int] = {}
    for video in range(1, num_videos + 1):
        for number, track_id, crop in _crops(generator.video(video)):
            identity = identities.setdefault((video, track_id), len(identities))
            name = f"{split}/{identity:04d}/{number:06d}.jpg"
            file = root / "images" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode_jpeg(crop))
            lines.append(f"{name} {identity}\n")
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{split}.txt").write_text("".join(lines))


def _crops(frames: Iterator[Scene]) -> Iterator[tuple[int, int, UInt8Array]]:
    """Yield frame number, track and (h, w, 3) RGB crop of the digits that are visible enough."""
    for number, frame in enumerate(frames, start=1):
        if number % _FRAME_STEP:
            continue
        for digit in frame.digits:
            if digit.visibility >= _MIN_VISIBILITY:
                left, top, right, bottom = digit.box
                yield number, digit.track_id, frame.image[top:bottom, left:right]


DIGITS_REID = EmbeddedDataset("digits_reid", 1, {"train": 8, "val": 4}, "num_videos", 2, _write_split)
