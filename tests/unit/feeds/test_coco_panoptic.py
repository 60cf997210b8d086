"""COCO panoptic annotations are looked at before anything is trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.digits.images import CLASSES
from vision_research.feeds.maps.feed import stuff_of
from vision_research.registry import make_embedded


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits_panoptic", tmp_path_factory.mktemp("data") / "panoptic", train=3, val=1, test=1)


def test_stuff_is_what_is_no_thing(made: Path) -> None:
    files = {f"data.{split}_panoptic": made / f"annotations/panoptic_{split}.json" for split in ("train", "val")}
    assert stuff_of(files, CLASSES) == ("temple", "flower")


def test_other_things_a_file_of_boxes_and_maps_that_are_not_there_are_refused(made: Path, tmp_path: Path) -> None:
    train = made / "annotations/panoptic_train.json"
    with pytest.raises(ConfigError, match=r"data\.train_panoptic=.*those of the boxes are 1, 0\. .*data\.classes=null"):
        stuff_of({"data.train_panoptic": train}, ["1", "0"])
    with pytest.raises(ConfigError, match=r"is no COCO panoptic JSON .*'segments_info'\. Type data\.train_panoptic="):
        stuff_of({"data.train_panoptic": made / "annotations/train.json"}, CLASSES)
    (tmp_path / "moved.json").write_text(train.read_text())
    with pytest.raises(ConfigError, match=r"its maps belong into .*moved, and train/000001\.png is not there"):
        stuff_of({"data.val_panoptic": tmp_path / "moved.json"}, CLASSES)
    with pytest.raises(ConfigError, match=r"data\.val_panoptic"):
        stuff_of({"data.val_panoptic": tmp_path / "absent.json"}, CLASSES)
