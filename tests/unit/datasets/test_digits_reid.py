"""Crops of digits with identities: made as they are described, and looked at before anything is trained on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.digits_reid import make_digits_reid
from vision_research.datasets.reid import gather_reid_facts

ANNS = {"train": "annotations/train.txt", "val": "annotations/val.txt"}
PREFIXES = dict.fromkeys(("train", "val"), "images/")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_digits_reid(tmp_path_factory.mktemp("data") / "reid", num_train=2, num_val=1)


def crops(root: Path, split: str) -> list[tuple[str, int]]:
    parted = [line.split(" ") for line in (root / ANNS[split]).read_text().splitlines()]
    return [(name, int(identity)) for name, identity in parted]


def test_every_crop_is_there_and_shows_one_digit(made: Path) -> None:
    for split in ANNS:
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


def test_the_same_bytes_every_time(made: Path, tmp_path: Path) -> None:
    again = make_digits_reid(tmp_path / "again", num_train=2, num_val=1)
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((made / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_facts_name_the_identities_of_the_training_split(made: Path) -> None:
    facts = gather_reid_facts(made, ANNS, PREFIXES, 8, 20)
    train, val = crops(made, "train"), crops(made, "val")
    assert facts.classes == tuple(map(str, range(max(identity for _, identity in train) + 1)))
    assert (facts.num_train, facts.num_val, facts.num_test) == (len(train), len(val), None)


def write(root: Path, train: str, val: str = "a.jpg 0\nb.jpg 0\n") -> None:
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    for name in "abcd":
        (root / "images" / f"{name}.jpg").touch()
    (root / ANNS["train"]).write_text(train)
    (root / ANNS["val"]).write_text(val)


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        ("a.jpg 0\nb.jpg\nc.jpg x\n", "a.jpg 0\nb.jpg 0\n", r"data\.train_ann=.*: 2 lines are no .*'b\.jpg'"),
        ("a.jpg 0\nz.jpg 1\n", "a.jpg 0\nb.jpg 0\n", r"1 crops are not in .*, for example z\.jpg\. Type data\.img_pre"),
        ("a.jpg 0\nb.jpg 0\n", "a.jpg 0\nb.jpg 0\n", r"has 1 identities, and a training step compares 2"),
        ("a.jpg 3\nb.jpg 7\n", "a.jpg 0\nb.jpg 0\n", r"its 2 identities go up to 7\. Number them 0, 1, \.\.\., 1"),
        ("a.jpg 0\nb.jpg 1\n", "a.jpg 0\n", r"has 1 crops, and the score looks at the 1 nearest to each"),
        ("a.jpg 0\nb.jpg 1\n", "a.jpg 0\nb.jpg 1\n", r"data\.val_ann=.*: no identity is on two crops"),
    ],
)
def test_lists_that_cannot_be_trained_on_are_refused(tmp_path: Path, train: str, val: str, message: str) -> None:
    write(tmp_path / "d", train, val)
    with pytest.raises(ConfigError, match=message):
        gather_reid_facts(tmp_path / "d", ANNS, PREFIXES, 2, 1)


def test_a_list_that_is_absent_is_named(tmp_path: Path) -> None:
    write(tmp_path / "d", "a.jpg 0\n")
    with pytest.raises(ConfigError, match=r"data\.val_ann"):
        gather_reid_facts(tmp_path / "d", {**ANNS, "val": "annotations/no.txt"}, PREFIXES, 1, 1)
