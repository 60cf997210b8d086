"""The data set `digits_reid`: crops of single digits, with identities."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from vision_research.registry import make_embedded


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits_reid", tmp_path_factory.mktemp("data") / "reid", train=2, val=1)


def crops(root: Path, split: str) -> list[tuple[str, int]]:
    parted = [line.split(" ") for line in (root / f"annotations/{split}.txt").read_text().splitlines()]
    return [(name, int(identity)) for name, identity in parted]


def test_every_crop_is_there_and_shows_one_digit(made: Path) -> None:
    for split in ("train", "val"):
        for name, identity in crops(made, split):
            image = cv2.imread(str(made / "images" / name))
            assert image is not None
            # A digit is 20 to 60 pixels; a frame is 192 by 224.
            assert max(image.shape[:2]) < 100
            assert name.startswith(f"{split}/{identity:04d}/")


def test_identities_are_numbered_from_zero_and_seen_several_times(made: Path) -> None:
    found = [identity for _, identity in crops(made, "train")]
    assert sorted(set(found)) == list(range(len(set(found))))
    assert 8 <= len(set(found)) <= 12
    # 24 frames, of which every third is taken, unless others hide the digit.
    assert max(map(found.count, set(found))) == 8
