"""Every YAML file in conf/ composes, validates and lowers to a config that MMEngine reads back as it was written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mmengine.config import Config
from omegaconf import OmegaConf

from vision_research.checks.validation import validate
from vision_research.config.command_schema import COMMAND_SCHEMAS, BrowseCommand, PackCommand
from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import TrainConfig
from vision_research.config.zoo import zoo_folder
from vision_research.flow.prepare import config_text
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import monitor_of, specify

FILES = sorted(conf_dir().rglob("*.yaml"))
# Groups of other commands than train.
ELSEWHERE = {"threshold": 4}
ALL_OPTIONS = [file.relative_to(conf_dir()) for file in FILES if file.parent != conf_dir()]
OPTIONS = [option for option in ALL_OPTIONS if option.parts[0] not in ELSEWHERE]
# What an option needs beside itself to be a whole run.
NEEDS = {
    "data/coco.yaml": ["data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json"],
    "data/youtube_vis.yaml": ["data.root=/videos", "data.train_ann=train.json", "data.val_ann=val.json"],
    "data/digits_semi.yaml": ["experiment=soft_teacher"],
    "data/mot.yaml": ["data.root=/videos", "data.train_ann=train.json", "data.val_ann=val.json"],
    "data/reid.yaml": ["experiment=reid", "data.root=/crops", "data.train_ann=train.txt", "data.val_ann=val.txt"],
    "data/digits_reid.yaml": ["experiment=reid"],
    "data/voc.yaml": ["data.root=/images"],
    "model/dino.yaml": ["image_size=[320,320]"],
    "model/ssd.yaml": ["image_size=[300,300]"],
    "aug/mosaic.yaml": ["schedule=1x"],
    "aug/mosaic_mixup.yaml": ["schedule=1x"],
    "hw/2x8gpu.yaml": ["hw.rdzv_endpoint=host:29400", "work_dir=/shared/run"],
}
# The quick round composes these alone.
QUICK = ("model/rtmdet_tiny.yaml", "model/mask_rcnn.yaml", "data/coco.yaml", "aug/mosaic.yaml", "experiment/reid.yaml")
RECIPES = Path(__file__).parents[2] / "docs" / "recipes.md"
INPUTS = LoweringInputs(Path("/runs/x"), ("cat", "dog"), num_train=100)


def test_the_glob_finds_every_option() -> None:
    found = Counter(option.parts[0] for option in ALL_OPTIONS)
    assert found == ELSEWHERE | {
        "model": 27,
        "data": 10,
        "aug": 12,
        "schedule": 7,
        "hw": 8,
        "tracking": 2,
        "storage": 2,
        "export": 6,
        "experiment": 8,
        "debug": 3,
    }
    beside = {file.name for file in FILES if file.parent == conf_dir()}
    assert beside == {"quiet.yaml", "train.yaml", *(f"{name}.yaml" for name in COMMAND_SCHEMAS)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", [pytest.param(one, marks=() if str(one) in QUICK else pytest.mark.slow) for one in OPTIONS], ids=str
)
def test_option_composes_validates_and_lowers(option: Path, typed: Callable[..., TrainConfig], tmp_path: Path) -> None:
    choice = f"{option.parent}={option.stem}"
    group = f"+{choice}" if option.parts[0] == "none" else choice
    config = typed(group, *NEEDS.get(str(option), []))
    validate(specify(config))
    tree = lower(specify(config), INPUTS)
    written = tmp_path / "config.py"
    written.write_text(config_text(tree))
    assert Config.fromfile(written, import_custom_modules=False).to_dict() == tree


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_is_headed_by_the_command_that_uses_it(option: Path) -> None:
    head = (conf_dir() / option).read_text().splitlines()[:4]
    assert any("python -m vision_research.train" in line and line.startswith("#") for line in head)


@pytest.mark.parametrize("name", [name for name in COMMAND_SCHEMAS if name not in ("browse", "pack")])
def test_a_command_composes_to_its_schema_and_is_headed_by_its_use(name: str) -> None:
    register(monitor_of)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree = compose(name, overrides=["run=runs/x", "data=coco", "data.root=/images"])
    words = OmegaConf.to_object(tree)
    assert type(words) is COMMAND_SCHEMAS[name]
    assert (words.run, words.data.root, words.data.batch_size) == ("runs/x", "/images", None)
    head = (conf_dir() / f"{name}.yaml").read_text().splitlines()[0]
    assert head.startswith(f"# python -m vision_research.{name} run=")


def test_the_words_of_a_training_are_words_of_the_browse_command() -> None:
    trees = {name: yaml.safe_load((conf_dir() / f"{name}.yaml").read_text()) for name in ("train", "browse")}
    defaults = {name: [entry for entry in tree["defaults"] if isinstance(entry, dict)] for name, tree in trees.items()}
    assert defaults["browse"] == defaults["train"]
    assert trees["browse"]["image_size"] == trees["train"]["image_size"]
    register(monitor_of)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        words = OmegaConf.to_object(compose("browse", overrides=["experiment=demo", "browse.phase=val"]))
    assert isinstance(words, BrowseCommand)
    assert (words.browse.phase.value, words.schedule.lr, words.browse.num) == ("val", 0.003, 16)
    assert (conf_dir() / "browse.yaml").read_text().startswith("# python -m vision_research.browse model=")


def test_the_pack_command_composes() -> None:
    register(monitor_of)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree = compose("pack", overrides=["data.root=/d", "data.train_ann=t", "data.val_ann=v", "out=s3://b/p"])
    words = OmegaConf.to_object(tree)
    assert isinstance(words, PackCommand)
    assert (words.out, words.data.root, words.shard_mb) == ("s3://b/p", "/d", 256)
    assert (conf_dir() / "pack.yaml").read_text().startswith("# python -m vision_research.pack data=")


@pytest.mark.parametrize("option", [option for option in ALL_OPTIONS if option.parts[0] in ELSEWHERE], ids=str)
def test_an_option_of_another_command_composes_and_is_headed_by_its_use(option: Path) -> None:
    register(monitor_of)
    group = option.parts[0]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        words = OmegaConf.to_object(compose(group, overrides=[f"{group}={option.stem}"]))
    assert getattr(words, group).rule.value == option.stem
    head = (conf_dir() / option).read_text().splitlines()[0]
    assert head.startswith("# python -m vision_research.") and f"{group}={option.stem}" in head


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mask_rcnn", "rtmdet_tiny", "yolox_tiny", "detr"])
@pytest.mark.parametrize("aug", [option.stem for option in OPTIONS if option.parts[0] == "aug"])
def test_every_kind_of_model_takes_every_augmentation(model: str, aug: str, typed: Callable[..., TrainConfig]) -> None:
    config = typed(f"model={model}", f"aug={aug}", "schedule=1x")
    if (model, aug) != ("mask_rcnn", "yolox"):  # refused, its transforms leave masks behind
        validate(specify(config))
    steps = [step["type"] for step in _steps(lower(specify(config), INPUTS)["train_dataloader"]["dataset"])]
    assert (steps[0], steps[1], steps[-1]) == ("LoadImageOrSkip", "LoadAnnotations", "PackDetInputs")


def _steps(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(_steps(dataset["dataset"]) if "dataset" in dataset else []), *dataset.get("pipeline", [])]


@pytest.mark.parametrize("name", [option.stem for option in OPTIONS if option.parts[0] == "model"])
def test_the_figures_of_a_detector_are_those_of_the_model_index(name: str) -> None:
    text = (conf_dir() / "model" / f"{name}.yaml").read_text()
    (zoo,) = re.findall(r"- zoo/(\S+)@_here_", text)
    family, config = zoo.split("/")
    index = yaml.safe_load((zoo_folder() / family / "metafile.yml").read_text())["Models"]
    entry = next((model for model in index if model["Config"] == f"configs/{zoo}.py"), {})
    published = {kind: ap for result in entry.get("Results", []) for kind, ap in result["Metrics"].items()}
    assert {kind: float(ap) for ap, kind in re.findall(r"([\d.]+) (box AP|mask AP)", text)} == published
    row = next(line for line in RECIPES.read_text().splitlines() if line.startswith(f"| `{name}` |"))
    memory = entry.get("Metadata", {}).get("Training Memory (GB)", "")
    cells = [published.get("box AP", ""), published.get("mask AP", ""), memory, f"`zoo/{zoo}`"]
    assert row.split(" | ")[2:] == [*map(str, cells[:3]), f"{cells[3]} |"]
