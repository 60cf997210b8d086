"""The zoo as a config group: listed without reading, loaded as its authors wrote it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException

from vision_research.config.recipe import model_entry
from vision_research.config.schema import TrainConfig
from vision_research.config.zoo import ZooConfigSource

Compose = Callable[..., TrainConfig]


@pytest.fixture
def source() -> ZooConfigSource:
    return ZooConfigSource(provider="test", path="mmdet://zoo")


def test_families_are_groups_and_configs_are_options(source: ZooConfigSource) -> None:
    families = source.list("model/zoo", ObjectType.GROUP)
    assert {"faster_rcnn", "rtmdet", "dino"} <= set(families)
    assert "_base_" not in families
    options = source.list("model/zoo/rtmdet", ObjectType.CONFIG)
    assert "rtmdet_tiny_8xb32-300e_coco" in options
    assert source.is_config("model/zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco")
    assert not source.is_config("model/zoo/rtmdet/no_such")
    assert not source.is_group("model/zoo/no_such")


def test_other_groups_are_not_the_zoos(source: ZooConfigSource) -> None:
    assert source.list("data", None) == []
    assert not source.is_group("data/zoo")


def test_an_entry_composes_and_nested_values_can_be_overridden(typed: Compose) -> None:
    config = typed("model=zoo/retinanet/retinanet_r50_fpn_1x_coco", "model.backbone.depth=101")
    assert config.model["type"] == "RetinaNet"
    assert config.model["backbone"]["depth"] == 101
    assert config.model["recipe"]["image_size"] == [800, 1333]
    assert config.model["recipe"]["optim_wrapper"]["optimizer"]["lr"] == 0.01


def test_an_unknown_entry_lists_what_there_is(typed: Compose) -> None:
    with pytest.raises(MissingConfigException, match=r"Could not (load|find) 'model/zoo/rtmdet/rtmdet_teeny'"):
        typed("model=zoo/rtmdet/rtmdet_teeny")


@pytest.mark.parametrize(
    ("model", "size", "letterbox", "base_batch"),
    [
        ("faster_rcnn", [800, 1333], False, 16),
        ("rtmdet_tiny", [640, 640], True, 256),
        ("yolox_tiny", [416, 416], True, 64),
    ],
)
def test_the_recipe_says_how_images_and_batches_were(
    typed: Compose, model: str, size: list[int], letterbox: bool, base_batch: int
) -> None:
    recipe = typed(f"model={model}", "schedule=1x").model["recipe"]
    assert (recipe["image_size"], recipe["letterbox"], recipe["base_batch_size"]) == (size, letterbox, base_batch)


def test_tuples_are_listed_by_their_path() -> None:
    entry = model_entry({"model": {"type": "X", "a": (1, 2), "b": [{"c": (3,)}], "d": [4]}}, "f/x")
    assert entry["a"] == [1, 2]
    assert sorted(entry["recipe"]["tuples"]) == ["a", "b.0.c"]


def test_a_file_without_a_model_is_refused() -> None:
    with pytest.raises(KeyError, match="zoo/f/x holds no model"):
        model_entry({"train_cfg": {}}, "f/x")
