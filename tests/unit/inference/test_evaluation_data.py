"""Which images are evaluated: the run's own, or what was typed over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from vision_research.config.command_schema import DataOverrides
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataKind, StorageConfig
from vision_research.inference.evaluation_data import classes_of, split_of_config, split_of_typed, typed_data


def write_coco(path: Path, classes: tuple[str, ...]) -> Path:
    (path.parent / "a.png").write_bytes(b"")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}],
    }
    path.write_text(json.dumps(document))
    return path


def config_of(tmp_path: Path, **dataset: Any) -> Config:
    loader = {"dataset": {"type": "CocoDataset", "data_root": str(tmp_path), "ann_file": "val.json", **dataset}}
    return Config({"val_dataloader": loader, "test_dataloader": loader, "val_evaluator": {"metric": "bbox"}})


def test_nothing_typed_is_no_other_data() -> None:
    assert typed_data(DataOverrides(), {"root": "x"}) is None


def test_what_is_not_typed_is_the_runs() -> None:
    run = {"kind": "digits", "root": "old", "train_ann": "t.json", "val_ann": "v.json", "limit_val": 3, "gone": 1}
    data = typed_data(DataOverrides(root="new"), run)
    assert data is not None
    assert (data.kind, data.root, data.val_ann, data.limit_val) == (DataKind.digits, "new", "v.json", 3)


def test_a_bare_checkpoint_needs_to_be_told_where_its_data_lies() -> None:
    with pytest.raises(ConfigError, match="data.val_ann is not set. Type data.val_ann=VALUE") as refused:
        typed_data(DataOverrides(root="new"), {})
    assert len(refused.value.problems) == 1, "the training annotations are not needed"


def test_other_classes_are_refused_with_both_lists(tmp_path: Path) -> None:
    write_coco(tmp_path / "val.json", ("cat", "dog"))
    data = typed_data(DataOverrides(root=str(tmp_path), val_ann="val.json"), {})
    assert data is not None
    with pytest.raises(ConfigError, match=r"its classes are cat, dog; those of the detector are cat, cow"):
        split_of_typed(data, StorageConfig(), ("cat", "cow"), "val", "bbox")


def test_the_order_of_the_detectors_classes_is_kept(tmp_path: Path) -> None:
    write_coco(tmp_path / "val.json", ("cat", "dog"))
    data = typed_data(DataOverrides(root=str(tmp_path), val_ann="val.json"), {})
    assert data is not None
    chosen = split_of_typed(data, StorageConfig(), ("dog", "cat"), "test", ["bbox", "segm"])
    assert chosen.split == "val", "there is no test split"
    assert chosen.dataset["metainfo"] == {"classes": ("dog", "cat")}
    assert chosen.metric["metric"] == ["bbox", "segm"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = typed_data(DataOverrides(root=str(tmp_path / "nowhere"), val_ann="val.json"), {})
    assert data is not None
    with pytest.raises(ConfigError, match=r"data.root=.*nowhere: there is no folder"):
        split_of_typed(data, StorageConfig(), ("cat",), "val", "bbox")


def test_a_config_whose_data_is_elsewhere_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"its val data is not on this machine .* Type data=coco data.root=FOLDER"):
        split_of_config(config_of(tmp_path), tmp_path / "config.py", "val")


def test_a_test_split_with_the_annotations_of_validation_is_validation(tmp_path: Path) -> None:
    write_coco(tmp_path / "val.json", ("cat",))
    config = config_of(tmp_path)
    assert split_of_config(config, tmp_path / "config.py", "test").split == "val"
    write_coco(tmp_path / "test.json", ("cat",))
    config.test_dataloader = {"dataset": {**config.val_dataloader.dataset, "ann_file": "test.json"}}
    chosen = split_of_config(config, tmp_path / "config.py", "test")
    assert (chosen.split, chosen.dataset["ann_file"]) == ("test", "test.json")


def test_classes_are_the_configs_or_those_of_its_type(tmp_path: Path) -> None:
    assert classes_of(config_of(tmp_path, metainfo={"classes": ("cat", "dog")})) == ("cat", "dog")
    assert len(classes_of(config_of(tmp_path))) == 80, "COCO's own"
