"""`test` on other data: the evaluated split alone is looked at, and the detector's own labels stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from omegaconf import OmegaConf

from vision_research.config.command_schema import Split, TestCommand
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, TrainConfig
from vision_research.flow.detectors import Detectors
from vision_research.flow.source import Source
from vision_research.flow.test_as_trained import EvaluatedImages, lower_typed_images
from vision_research.registry import make_embedded
from vision_research.work_dir import WorkDir

Compose = Callable[..., TrainConfig]


@pytest.fixture
def lowered(typed: Compose, tmp_path: Path) -> Callable[..., EvaluatedImages]:
    """The loader and evaluator of a run of these words on other data, for a detector of these classes."""

    def build(classes: tuple[str, ...], *words: str, **data: Any) -> EvaluatedImages:
        config = typed(*words)
        work_dir = WorkDir(tmp_path / "run")
        work_dir.root.mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.structured(config), work_dir.config_yaml)
        source = Source(work_dir.config_py, work_dir.root / "best.pth", work_dir=work_dir)
        command = TestCommand(run="run", split=Split.val)
        other = DataConfig(**{**vars(config.data), **data})
        return lower_typed_images(command, Detectors(source, Config({"model": config.model}), classes, ()), other)

    return build


@pytest.mark.slow
def test_identities_of_other_crops_need_not_be_those_that_were_trained(
    lowered: Callable[..., EvaluatedImages], tmp_path: Path
) -> None:
    other = make_embedded("digits_reid", tmp_path / "other", train=2, val=2)
    trained = tuple(map(str, range(400)))

    images = lowered(trained, "experiment=reid", root=str(other), train_ann="no/such/list.txt")

    assert images.split == "val"
    assert images.evaluator["type"] == "ReIDMetrics"
    dataset = images.loader["dataset"]
    assert (dataset["data_root"], dataset["ann_file"]) == (str(other), "annotations/val.txt")
    assert dataset["metainfo"]["classes"] == trained


@pytest.mark.slow
def test_maps_of_other_classes_are_refused_by_the_key_of_their_split(
    lowered: Callable[..., EvaluatedImages], tmp_path: Path
) -> None:
    other = make_embedded("digits_panoptic", tmp_path / "other", train=1, val=2, test=1)
    with pytest.raises(
        ConfigError, match=r"data\.val_ann=annotations/val\.json: its classes are 0, .*those of .* a, b"
    ):
        lowered(("a", "b"), "experiment=panoptic_fpn", root=str(other))


@pytest.mark.slow
def test_only_the_evaluated_split_is_looked_at(lowered: Callable[..., EvaluatedImages], tmp_path: Path) -> None:
    other = make_embedded("digits_video", tmp_path / "other", train=1, val=1)
    (other / "annotations" / "train.json").unlink()

    images = lowered(("digit",), "experiment=bytetrack", root=str(other))

    assert images.evaluator["type"] == "MOTChallengeMetric"
    assert images.loader["dataset"]["type"] == "MOTChallengeDataset"
