"""Every YAML file in conf/ composes, validates and lowers to a config that MMEngine reads back as it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from vision_research.config.compose import conf_dir
from vision_research.config.lowering import LoweringInputs, lower
from vision_research.config.schema import TrainConfig
from vision_research.config.validate import validate
from vision_research.flow.write import config_text

FILES = sorted(conf_dir().rglob("*.yaml"))
OPTIONS = [file.relative_to(conf_dir()) for file in FILES if file.parent != conf_dir()]
# What an option needs beside itself to be a whole run.
NEEDS = {
    "data/coco.yaml": ["data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json"],
    "data/voc.yaml": ["data.root=/images"],
    "aug/mosaic.yaml": ["schedule=1x"],
    "aug/mosaic_mixup.yaml": ["schedule=1x"],
    "hw/2x8gpu.yaml": ["hw.rdzv_endpoint=host:29400", "work_dir=/shared/run"],
}
INPUTS = LoweringInputs(Path("/runs/x"), ("cat", "dog"), num_train=100)


def test_the_glob_finds_every_option() -> None:
    found = Counter(option.parts[0] for option in OPTIONS)
    assert found == {
        "model": 5,
        "data": 3,
        "aug": 5,
        "schedule": 5,
        "hw": 8,
        "tracking": 2,
        "storage": 2,
        "export": 2,
        "experiment": 2,
        "debug": 3,
    }
    assert len(FILES) == sum(found.values()) + 1, "conf/train.yaml stands beside the groups"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_composes_validates_and_lowers(option: Path, typed: Callable[..., TrainConfig], tmp_path: Path) -> None:
    choice = f"{option.parent}={option.stem}"
    group = f"+{choice}" if option.parts[0] == "none" else choice
    config = typed(group, *NEEDS.get(str(option), []))
    validate(config)
    tree = lower(config, INPUTS)
    written = tmp_path / "config.py"
    written.write_text(config_text(tree))
    assert Config.fromfile(written, import_custom_modules=False).to_dict() == tree


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_is_headed_by_the_command_that_uses_it(option: Path) -> None:
    head = (conf_dir() / option).read_text().splitlines()[:4]
    assert any("python -m vision_research.train" in line and line.startswith("#") for line in head)


@pytest.mark.parametrize("model", ["faster_rcnn", "retinanet", "rtmdet_tiny", "rtmdet_s", "yolox_tiny"])
@pytest.mark.parametrize("aug", ["none", "flip", "multiscale", "mosaic", "mosaic_mixup"])
def test_every_model_takes_every_augmentation(model: str, aug: str, typed: Callable[..., TrainConfig]) -> None:
    config = typed(f"model={model}", f"aug={aug}", "schedule=1x")
    validate(config)
    steps = [step["type"] for step in lower(config, INPUTS)["train_dataloader"]["dataset"]["pipeline"]]
    assert (steps[0], steps[1], steps[-1]) == ("LoadImageOrSkip", "LoadAnnotations", "PackDetInputs")
