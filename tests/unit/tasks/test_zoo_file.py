"""The data that a zoo file names: found where `data.root` says, and refused before anything is launched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.registry import metric_info
from vision_research.tasks.zoo_file.task import ZooFile

EXPERIMENT = "experiment=zoo/retinanet/retinanet_r18_fpn_1x_coco"
Compose = Callable[..., TrainConfig]


def test_files_that_are_not_there_are_named_with_the_key(
    typed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        ZooFile(metric_info).look(typed(EXPERIMENT).data, ("train", "val"))
    message = str(caught.value)
    assert message.startswith(
        "data.root=data/coco/: zoo/retinanet/retinanet_r18_fpn_1x_coco reads data/coco/annotations"
    )
    assert "instances_val2017.json" in message and "Type data.root=FOLDER" in message


@pytest.mark.slow
def test_the_files_are_counted(typed: Compose, tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "1.jpg", "width": 64, "height": 64}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "area": 400, "iscrowd": 0}
    document = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    facts = ZooFile(metric_info).look(typed(EXPERIMENT, f"data.root={tmp_path}").data, ("train", "val"))
    assert (facts.num_train, facts.num_val, len(facts.classes), len(facts.digest)) == (1, 1, 80, 16)
