"""The embedded maps: the pictures of the digits, a segment for each digit, and what is behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.coco_panoptic import stuff_of
from vision_research.datasets.digits import CLASSES, make_digits
from vision_research.datasets.digits_panoptic import make_digits_panoptic
from vision_research.evaluation.panoptic_map import decode_map, encode_map

SMALL = {"num_train": 3, "num_val": 1, "num_test": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_digits_panoptic(tmp_path_factory.mktemp("data") / "panoptic", **SMALL)


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_the_pictures_are_those_of_the_digits(made: Path, tmp_path: Path) -> None:
    plain = make_digits(tmp_path / "digits", **SMALL).root
    for file in (*plain.rglob("*.jpg"), plain / "annotations" / "train.json"):
        assert file.read_bytes() == (made / file.relative_to(plain)).read_bytes(), file
    again = make_digits_panoptic(tmp_path / "again", **SMALL)
    for file in made.rglob("*.*"):
        assert file.read_bytes() == (again / file.relative_to(made)).read_bytes(), file


def test_every_pixel_is_of_one_segment_and_counted(made: Path) -> None:
    boxes, maps = load(made / "annotations/train.json"), load(made / "annotations/panoptic_train.json")
    for annotation in maps["annotations"]:
        ids = decode_map((made / "annotations/panoptic_train" / annotation["file_name"]).read_bytes())
        segments = annotation["segments_info"]
        assert {segment["id"]: segment["area"] for segment in segments} == dict(
            zip(*(column.tolist() for column in np.unique(ids, return_counts=True)), strict=True)
        )
        things = [segment for segment in segments if segment["category_id"] <= len(CLASSES)]
        wanted = [entry for entry in boxes["annotations"] if entry["image_id"] == annotation["image_id"]]
        assert [thing["bbox"] for thing in things] == [entry["bbox"] for entry in wanted]
        assert len(segments) == len(things) + 1, "and one photograph behind them"


def test_ids_of_three_bytes_survive_the_png() -> None:
    ids = np.array([[0, 1, 255], [256, 70_000, 16_777_215]])
    assert (decode_map(encode_map(ids)) == ids).all()
    with pytest.raises(ValueError, match="no PNG"):
        decode_map(b"no picture")


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
