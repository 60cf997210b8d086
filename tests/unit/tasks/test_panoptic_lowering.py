"""Panoptic data: which detectors are trained and scored on its maps, and what a run is scored by at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
FPN = "zoo/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco"
HTC = "zoo/htc/htc_r50_fpn_1x_coco"
DATA = ("data=digits_panoptic", "data.root=/d")
QDTRACK = "zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval"


def lowered(typed: Compose, *words: str) -> dict[str, Any]:
    config = typed("aug=flip", *words) if not any(word.startswith("aug=") for word in words) else typed(*words)
    validate(specify(config))
    return lower(specify(config), LoweringInputs(Path("/runs/x"), ("a", "b"), num_train=8, masks="rle", stuff=("sky",)))


def test_a_panoptic_detector_is_trained_and_scored_on_maps(typed: Compose) -> None:
    tree = lowered(typed, f"model={FPN}", *DATA)
    train, val = tree["train_dataloader"]["dataset"], tree["val_dataloader"]["dataset"]
    assert (train["type"], train["ann_file"]) == ("CocoPanopticDataset", "annotations/panoptic_train.json")
    assert train["data_prefix"] == {"img": "images/", "seg": "annotations/panoptic_train/"}
    assert train["metainfo"] == {"classes": ("a", "b", "sky"), "thing_classes": ("a", "b"), "stuff_classes": ("sky",)}
    assert [step["type"] for step in train["pipeline"]][:2] == ["LoadImageOrSkip", "LoadPanopticMap"]
    assert not any(step.get("with_mask") for step in val["pipeline"])
    assert tree["val_evaluator"]["type"] == "PanopticQuality"
    assert tree["val_evaluator"]["ann_file"] == "/d/annotations/panoptic_val.json"
    assert tree["test_evaluator"]["ann_file"] == "/d/annotations/panoptic_test.json"
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "panoptic/PQ"
    for part in ("semantic_head", "panoptic_fusion_head"):
        head = tree["model"][part]
        assert (head["num_things_classes"], head["num_stuff_classes"]) == (2, 1)
    assert tree["model"]["roi_head"]["mask_head"]["num_classes"] == 2


def test_the_file_s_own_pipelines_read_our_maps(typed: Compose) -> None:
    tree = lowered(typed, f"model={FPN}", f"aug={FPN}", "schedule=1x", *DATA)
    kinds = [step["type"] for step in tree["train_dataloader"]["dataset"]["pipeline"]]
    assert kinds == ["LoadImageOrSkip", "LoadPanopticMap", "Resize", "RandomFlip", "PackDetInputs"]
    kinds = [step["type"] for step in tree["val_dataloader"]["dataset"]["pipeline"]]
    assert kinds == ["LoadImageOrSkip", "Resize", "LoadAnnotations", "PackDetInputs"]


def test_queries_of_masks_weigh_things_and_stuff(typed: Compose) -> None:
    tree = lowered(typed, "model=zoo/mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic", *DATA)
    assert tree["model"]["panoptic_head"]["loss_cls"]["class_weight"] == [1.0, 1.0, 1.0, 0.1]
    assert tree["model"]["test_cfg"]["panoptic_on"] is True


def test_a_semantic_branch_learns_from_maps_and_its_detector_is_scored_on_masks(typed: Compose) -> None:
    tree = lowered(typed, f"model={HTC}", *DATA)
    assert tree["model"]["roi_head"]["semantic_head"]["num_classes"] == 3
    assert tree["train_dataloader"]["dataset"]["type"] == "CocoPanopticDataset"
    assert tree["val_dataloader"]["dataset"]["type"] == "CocoDataset"
    assert tree["val_evaluator"]["metric"] == ["bbox", "segm"]


def test_other_detectors_see_boxes_and_masks_alone(typed: Compose) -> None:
    tree = lowered(typed, "model=mask_rcnn", *DATA)
    assert tree["train_dataloader"]["dataset"]["type"] == "CocoDataset"
    assert tree["val_evaluator"]["type"] == "CocoDetectionMetric"


def test_maps_of_one_split_alone_are_refused(typed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"data\.val_panoptic=null: what is trained on maps is scored on maps"):
        lowered(typed, f"model={FPN}", *DATA, "data.val_panoptic=null")


def test_without_maps_what_to_type_is_named(typed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"model\.semantic_head: .*Type data=digits_panoptic, or data\.train_panopt"):
        lowered(typed, f"model={FPN}", "data=digits")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "monitor"),
    [
        (("model=rtmdet_tiny",), "coco/bbox_mAP"),
        (("model=rtmdet_tiny", *DATA), "coco/bbox_mAP"),
        (("model=zoo/rpn/rpn_r50_fpn_1x_coco",), "coco/AR@1000"),
        ((f"model={QDTRACK}", f"aug={QDTRACK}", "data=digits_video"), "motchallenge-metric/HOTA"),
        (("experiment=masktrack_rcnn",), "youtube_vis/segm_mAP"),
        (("schedule.monitor=coco/bbox_mAP_50",), "coco/bbox_mAP_50"),
    ],
)
def test_the_best_checkpoint_is_chosen_by_what_the_run_is_scored_by(
    typed: Compose, words: tuple[str, ...], monitor: str
) -> None:
    assert typed(*words).schedule.monitor == monitor


def test_proposals_are_scored_without_classes(typed: Compose) -> None:
    tree = lowered(typed, "model=zoo/rpn/rpn_r50_fpn_1x_coco", "data=digits")
    assert tree["val_evaluator"]["metric"] == "proposal"
    assert "num_classes" not in tree["model"]["rpn_head"]
