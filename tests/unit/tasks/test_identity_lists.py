"""Lists of crops with identities are looked at before anything is trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.formats import all_split_files
from vision_research.registry import make_embedded
from vision_research.tasks.identities import lists
from vision_research.tasks.identities.lists import gather_identities

ANNS = {"train": "annotations/train.txt", "val": "annotations/val.txt"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits_reid", tmp_path_factory.mktemp("data") / "reid", train=2, val=1)


def look(root: Path, val: str = ANNS["val"]) -> DatasetFacts:
    data = DataConfig(DataKind.reid, str(root), ANNS["train"], val, img_prefix="images/")
    return gather_identities(data.root, all_split_files(data, ("train", "val", "test")))


def crops(root: Path, split: str) -> list[tuple[str, int]]:
    parted = [line.split(" ") for line in (root / ANNS[split]).read_text().splitlines()]
    return [(name, int(identity)) for name, identity in parted]


def test_facts_name_the_identities_of_the_training_split(made: Path) -> None:
    facts = look(made)
    train, val = crops(made, "train"), crops(made, "val")
    assert facts.classes == tuple(map(str, range(max(identity for _, identity in train) + 1)))
    assert (facts.num_train, facts.num_val, facts.counts.get("test")) == (len(train), len(val), None)


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
def test_lists_that_cannot_be_trained_on_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, train: str, val: str, message: str
) -> None:
    monkeypatch.setitem(lists.DRAWN, "num_ids", 2)
    monkeypatch.setattr(lists, "RANKED", 1)
    write(tmp_path / "d", train, val)
    with pytest.raises(ConfigError, match=message):
        look(tmp_path / "d")


def test_a_list_that_is_absent_is_named(tmp_path: Path) -> None:
    write(tmp_path / "d", "a.jpg 0\n")
    with pytest.raises(ConfigError, match=r"data\.val_ann"):
        look(tmp_path / "d", "annotations/no.txt")
