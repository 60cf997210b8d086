"""Detectors that read the classes as text: every sample carries the names, and one language model reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.config.tree import dicts
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
GLIP = "zoo/glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco"
DINO = "zoo/grounding_dino/grounding_dino_r50_scratch_8xb2_1x_coco"
DRAWN = "zoo/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365"


def lowered(typed: Compose, *words: str) -> dict[str, Any]:
    config = typed("data.root=/d", "image_size=[320,320]", *words)
    validate(specify(config))
    return lower(specify(config), LoweringInputs(Path("/runs/x"), ("cat", "dog"), num_train=8))


def packed(tree: dict[str, Any], split: str) -> Iterator[tuple[str, ...]]:
    """The meta keys of every step that packs samples of a split."""
    for _, node in dicts(tree[f"{split}_dataloader"]):
        if node.get("type") == "PackDetInputs":
            yield node["meta_keys"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [GLIP, DINO])
@pytest.mark.parametrize("aug", ["none", "flip", "mosaic", "mosaic_mixup", "rtmdet", GLIP, DINO])
def test_every_sample_carries_the_names_of_the_classes(typed: Compose, model: str, aug: str) -> None:
    tree = lowered(typed, f"model={model}", f"aug={aug}")
    for split in ("train", "val", "test"):
        datasets = [node for _, node in dicts(tree[f"{split}_dataloader"]) if node.get("type") == "CocoDataset"]
        assert [node["return_classes"] for node in datasets] == [True]
        assert datasets[0]["metainfo"]["classes"] == ("cat", "dog")
        keys = list(packed(tree, split))
        assert keys
        for found in keys:
            assert {"text", "custom_entities", "img_id", "img_shape", "scale_factor"} <= set(found)
            assert len(found) == len(set(found))
    switches = [hook for hook in tree["custom_hooks"] if hook["type"] == "PipelineStageHook"]
    assert bool(switches) == (aug in ("mosaic", "mosaic_mixup", "rtmdet"))
    for hook in switches:
        assert any("text" in node.get("meta_keys", ()) for _, node in dicts(hook))


def test_a_mirrored_image_says_that_it_is_one(typed: Compose) -> None:
    (keys,) = packed(lowered(typed, f"model={DINO}", "aug=flip"), "train")
    assert {"flip", "flip_direction"} <= set(keys)


def test_other_detectors_carry_none(typed: Compose) -> None:
    tree = lowered(typed, "model=dino", "aug=flip")
    assert not any("return_classes" in node for _, node in dicts(tree))
    assert not any(node.get("type") == "NamesByLabel" for _, node in dicts(tree))


@pytest.mark.slow
def test_names_that_are_drawn_for_each_image_are_drawn_from_ours(typed: Compose) -> None:
    tree = lowered(typed, f"model={DINO}", f"aug={DRAWN}")
    (pipeline,) = [node["pipeline"] for _, node in dicts(tree["train_dataloader"]) if "pipeline" in node]
    assert [step["type"] for step in pipeline][-3:] == ["NamesByLabel", "RandomSamplingNegPos", "PackDetInputs"]
    assert "tokens_positive" in pipeline[-1]["meta_keys"]
    # Numbered anew for each image, where one of them may stand twice.
    assert tree["model"]["bbox_head"]["num_classes"] == 256
    assert lowered(typed, f"model={DINO}", "aug=flip")["model"]["bbox_head"]["num_classes"] == 2


def test_names_are_not_drawn_for_a_detector_that_reads_none(typed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"RandomSamplingNegPos: draws names .* model=FasterRCNN reads none"):
        lowered(typed, "model=faster_rcnn", f"aug={DRAWN}")


def test_any_detector_takes_glip_s_boxes_and_flips(typed: Compose) -> None:
    tree = lowered(typed, "model=faster_rcnn", f"aug={GLIP}", "data=digits")
    kinds = {node["type"]: node for _, node in dicts(tree["train_dataloader"]) if "type" in node}
    assert "GTBoxSubOne_GLIP" in kinds
    # A mirrored 2 is no 2.
    assert kinds["RandomFlip_GLIP"]["prob"] == 0


@pytest.mark.slow
def test_one_word_names_the_language_model_everywhere(typed: Compose, tmp_path: Path) -> None:
    word = f"model.language_model.name={tmp_path}"
    model = lowered(typed, f"model={GLIP}", word)["model"]
    assert model["language_model"]["name"] == model["bbox_head"]["lang_model_name"] == str(tmp_path)
    tree = lowered(typed, f"model={DINO}", f"aug={DRAWN}", word)
    names = [node["tokenizer_name"] for _, node in dicts(tree) if "tokenizer_name" in node]
    assert names == [str(tmp_path)]


@pytest.mark.slow
def test_a_folder_is_named_by_its_whole_path(typed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bert").mkdir()
    monkeypatch.chdir(tmp_path)
    model = lowered(typed, f"model={DINO}", "model.language_model.name=bert")["model"]
    assert model["language_model"]["name"] == str(tmp_path / "bert")
    assert lowered(typed, f"model={DINO}")["model"]["language_model"]["name"] == "bert-base-uncased"


@pytest.mark.slow
def test_the_file_s_own_data_is_cut_into_words_of_the_same_model(typed: Compose, tmp_path: Path) -> None:
    tree = lowered(typed, f"experiment={DRAWN}", f"model.language_model.name={tmp_path}")
    names = [node["tokenizer_name"] for _, node in dicts(tree["train_dataloader"]) if "tokenizer_name" in node]
    assert set(names) == {str(tmp_path)}
