"""The value by which a checkpoint is chosen follows from the task, the feeds, and the evaluator of a zoo file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.registry import metric_info, monitor_of

Compose = Callable[..., TrainConfig]
BYTETRACK = "zoo/bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval"
BOXES = {"type": "FasterRCNN"}
MASKS = {"type": "MaskRCNN", "recipe": {"with_mask": True}}
PANOPTIC = {"type": "PanopticFPN", "panoptic_fusion_head": {"num_stuff_classes": 2}}
STUDENT = {"type": "SoftTeacher", "semi_train_cfg": {}, "semi_test_cfg": {"predict_on": "student"}}
VIDEOS = {"pipeline": [{"type": "PackTrackInputs"}]}


@pytest.mark.parametrize(
    ("model", "pipelines", "has_maps", "expected"),
    [
        (BOXES, None, False, "coco/bbox_mAP"),
        (MASKS, None, False, "coco/bbox_mAP"),
        ({"type": "RPN"}, None, False, "coco/AR@1000"),
        (PANOPTIC, None, True, "panoptic/PQ"),
        (PANOPTIC, None, False, "coco/bbox_mAP"),
        ({"type": "BaseReID"}, None, False, "reid-metric/mAP"),
        (STUDENT, None, False, "student/coco/bbox_mAP"),
        (BOXES, {"val": VIDEOS}, False, "motchallenge-metric/HOTA"),
        (MASKS, {"val": VIDEOS}, False, "youtube_vis/segm_mAP"),
        (BOXES, {"train": VIDEOS}, False, "coco/bbox_mAP"),
    ],
)
def test_the_monitor_follows_from_detector_and_data(
    model: dict[str, Any], pipelines: dict[str, Any] | None, has_maps: bool, expected: str
) -> None:
    maps = {"train_panoptic": "train.json", "val_panoptic": "val.json"} if has_maps else {}
    assert monitor_of(model, pipelines, DataConfig(**maps)) == expected


@pytest.mark.parametrize("experiment", ["bytetrack", "qdtrack", BYTETRACK])
def test_every_tracker_of_boxes_is_chosen_by_the_same_value(typed: Compose, experiment: str) -> None:
    assert typed(f"experiment={experiment}").schedule.monitor == "motchallenge-metric/HOTA"


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [
        ({"type": "CocoMetric", "metric": ["bbox", "segm"]}, "coco/bbox_mAP"),
        ({"type": "CocoMetric", "metric": "segm"}, "coco/segm_mAP"),
        ({"type": "mmdet.CocoMetric", "metric": "proposal"}, "coco/AR@1000"),
        ({"type": "CocoMetric", "metric": "proposal_fast"}, "coco/AR@1000"),
        ({"type": "LVISMetric"}, "lvis/bbox_AP"),
        ([{"type": "CocoPanopticMetric"}, {"type": "CocoMetric"}], "coco_panoptic/PQ"),
        ({"type": "MOTChallengeMetric", "metric": ["HOTA", "CLEAR"]}, "motchallenge-metric/HOTA"),
        ({"type": "NobodysMetric"}, "auto"),
        (None, "auto"),
    ],
)
def test_the_data_of_a_zoo_file_is_scored_by_its_own_evaluator(evaluator: Any, expected: str) -> None:
    data = DataConfig(DataKind.zoo, recipe={"val_evaluator": evaluator})
    assert monitor_of(BOXES, None, data) == expected


def test_what_is_no_metric_of_a_task_says_nothing() -> None:
    assert metric_info({"type": "NobodysMetric"}) is None
