"""The zoo as a config group: listed without reading, loaded as its authors wrote it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException
from hydra.plugins.config_source import ConfigLoadError
from mmengine.config import Config

from vision_research.config import zoo_cache
from vision_research.config.recipe import model_entry
from vision_research.config.schema import TrainConfig
from vision_research.config.zoo import ZooConfigSource, zoo_options
from vision_research.config.zoo_cache import cached_entry

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


def test_the_groups_of_a_recipe_have_the_same_options_and_other_groups_none(source: ZooConfigSource) -> None:
    for group in ("schedule", "aug", "data", "experiment"):
        assert source.list(f"{group}/zoo/tood", ObjectType.CONFIG) == source.list("model/zoo/tood", ObjectType.CONFIG)
    assert source.list("hw", None) == []
    assert not source.is_group("hw/zoo")


def test_configs_in_folders_of_a_family_are_options_and_programs_are_not(source: ZooConfigSource) -> None:
    assert "cspnext-x_8xb256-rsb-a1-600e_in1k" in source.list("model/zoo/rtmdet/classification", ObjectType.CONFIG)
    assert "mm_grounding_dino/lvis/grounding_dino_swin-t_finetune_16xb4_1x_lvis" in zoo_options()
    assert "override_category" not in source.list("model/zoo/glip/odinw", ObjectType.CONFIG)


def test_listing_reads_no_file(source: ZooConfigSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was read"))
    monkeypatch.setattr(Config, "fromfile", lambda *_: pytest.fail("a config was loaded"))
    assert len(zoo_options()) == 820
    assert source.list("experiment/zoo/dino", None)


def test_an_entry_is_kept_until_a_file_that_it_came_from_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo_cache, "FOLDER", tmp_path / "cache")
    (tmp_path / "base.py").write_text("a = 1\n")
    file = tmp_path / "config.py"
    file.write_text("_base_ = ['./base.py']\n")
    made = iter(range(10))

    def entry() -> dict[str, Any]:
        return cached_entry("model", file, "f/config", lambda: {"made": next(made), "x": [1.5, None, True]})

    assert entry() == entry() == {"made": 0, "x": [1.5, None, True]}
    (tmp_path / "base.py").write_text("a = 22\n")
    assert entry()["made"] == entry()["made"] == 1
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_text(kept.read_text()[:-5])
    assert entry()["made"] == 2
    (tmp_path / "cache").rename(tmp_path / "moved")
    (tmp_path / "cache").write_text("no folder")
    assert entry()["made"] == 3


def test_the_code_that_makes_an_entry_is_where_the_cache_looks_for_it() -> None:
    folder = Path(zoo_cache.__file__).parent
    # A name that is gone would turn the cache off, and nothing would fail.
    assert [name for name in zoo_cache.MAKERS if not (folder / name).is_file()] == []


@pytest.mark.slow
def test_a_shell_completes_the_names_of_the_zoo() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "vision_research.train", "-sc", "query=bash"],
        env={**os.environ, "COMP_LINE": "train experiment=zoo/tood/tood_r50"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == [
        f"experiment=zoo/tood/tood_r50_fpn_{name}_coco" for name in ("1x", "anchor-based_1x", "ms-2x")
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model=zoo/yolox/yolox_tta", "model=zoo/yolox/yolox_tta holds no model. Type another model=zoo/FAMILY/CONFIG"),
        (
            "schedule=zoo/sort/sort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",
            "trains nothing, so it has no schedule",
        ),
        ("aug=zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base", "trains nothing, so it has no augmentation"),
        ("data=zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base", "names no training data"),
    ],
)
def test_a_file_without_the_part_that_was_asked_for_says_so(typed: Compose, word: str, message: str) -> None:
    with pytest.raises(ConfigLoadError, match=re.escape(message)):
        typed(word)


@pytest.mark.skipif(find_spec("mmpretrain") is not None, reason="mmpretrain is installed")
def test_a_package_that_a_file_needs_is_named_with_what_to_type(typed: Compose) -> None:
    with pytest.raises(ConfigLoadError, match=r"needs mmpretrain, .* Type python -m pip install 'vision-research\["):
        typed("model=zoo/rtmdet/classification/cspnext-s_8xb256-rsb-a1-600e_in1k")


def test_a_place_in_a_list_is_overridden_by_its_index(typed: Compose) -> None:
    model = typed(
        "model=zoo/cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco", "model.roi_head.bbox_head.1.num_classes=3"
    ).model
    assert [head["num_classes"] for head in model["roi_head"]["bbox_head"]] == [80, 3, 80]


@pytest.mark.slow
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
