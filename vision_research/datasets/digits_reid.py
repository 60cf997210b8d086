"""Makes crops of moving digits with their identities, on which telling objects apart is trained, as on persons.

    <root>/annotations/{train,val}.txt             a line `<file> <identity>` a crop, as MMDetection's ReIDDataset reads
    <root>/images/<split>/<identity>/000001.jpg    the crops

The digits are those of `digits_video`, cut out of their frames; no identity is in two splits.
"""

from __future__ import annotations

from pathlib import Path

from vision_research.datasets.made_once import Generator, make_once

GENERATOR_VERSION = 1
_DEFAULT_COUNTS = {"train": 8, "val": 4}
# MMDetection's mot2reid.py keeps persons of whom this much is seen.
MIN_VISIBILITY = 0.3
# From one frame to the next a digit hardly changes.
EVERY = 3


def make_digits_reid(folder: Path, *, num_train: int | None = None, num_val: int | None = None) -> Path:
    """Make the data set unless it is there; the same bytes every time on one machine.

    Args:
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        num_train: videos of four to six digits to train on; None takes what is there, or makes 8.
        num_val: videos to validate on; None takes what is there, or makes 4.

    Returns:
        Its absolute folder.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    generator = Generator("digits_reid", GENERATOR_VERSION, _DEFAULT_COUNTS, "num_videos", 2, _write_split)
    return make_once(generator, folder, {"train": num_train, "val": num_val})


def _write_split(root: Path, split: str, num_videos: int) -> None:
    from vision_research.datasets.digits_render import encode_jpeg
    from vision_research.datasets.digits_video_render import VideoRenderer

    renderer = VideoRenderer(split)
    lines: list[str] = []
    identities: dict[tuple[int, int], int] = {}
    for video in range(1, num_videos + 1):
        for number, frame in enumerate(renderer.render(video), start=1):
            if number % EVERY:
                continue
            for digit in frame.digits:
                if digit.visibility < MIN_VISIBILITY:
                    continue
                left, top, right, bottom = digit.box
                identity = identities.setdefault((video, digit.track_id), len(identities))
                name = f"{split}/{identity:04d}/{number:06d}.jpg"
                file = root / "images" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(encode_jpeg(frame.image[top:bottom, left:right]))
                lines.append(f"{name} {identity}\n")
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{split}.txt").write_text("".join(lines))
