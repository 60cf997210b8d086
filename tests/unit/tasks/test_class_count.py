"""The class count reaches every place that counts the classes of the data, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify
from vision_research.tasks.class_count import set_class_count

Compose = Callable[..., TrainConfig]
INPUTS = LoweringInputs(Path("/runs/x"), ("a", "b", "c"), num_train=100)


def value(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[int(key)] if key.isdigit() else tree[key]
    return tree


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco",
            {
                "roi_head.bbox_head.0.num_classes": 3,
                "roi_head.bbox_head.2.num_classes": 3,
                "roi_head.mask_head.num_classes": 3,
            },
        ),
        ("ms_rcnn/ms-rcnn_r50_fpn_1x_coco", {"roi_head.mask_iou_head.num_classes": 3}),
        ("point_rend/point-rend_r50-caffe_fpn_ms-1x_coco", {"roi_head.point_head.num_classes": 3}),
        (
            "scnet/scnet_r50_fpn_1x_coco",
            {"roi_head.glbctx_head.num_classes": 3, "roi_head.semantic_head.num_classes": 183},
        ),
        (
            "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco",
            {
                "roi_head.mask_head.num_classes": 3,
                "semantic_head.num_things_classes": 3,
                "panoptic_fusion_head.num_stuff_classes": 0,
            },
        ),
        (
            "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic",
            {
                "panoptic_head.num_things_classes": 3,
                "panoptic_head.num_stuff_classes": 0,
                "panoptic_head.loss_cls.class_weight": [1.0, 1.0, 1.0, 0.1],
                "panoptic_fusion_head.num_things_classes": 3,
                "test_cfg.instance_on": True,
                "test_cfg.panoptic_on": False,
            },
        ),
        ("dino/dino-4scale_r50_8xb2-12e_coco", {"bbox_head.num_classes": 3}),
        ("queryinst/queryinst_r50_fpn_1x_coco", {"roi_head.mask_head.5.num_classes": 3}),
        (
            "seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1",
            {"roi_head.bbox_head.loss_cls.num_classes": 3},
        ),
        ("lad/lad_r50-paa-r101_fpn_2xb8_coco_1x", {"teacher_bbox_head.num_classes": 3, "bbox_head.num_classes": 3}),
        (
            "deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",
            {"detector.roi_head.bbox_head.num_classes": 3, "reid.head.num_classes": 380},
        ),
        ("misc/d2_mask-rcnn_r50-caffe_fpn_ms-90k_coco", {"detector.roi_heads.num_classes": 3}),
    ],
)
def test_a_detector_counts_the_classes_of_the_data(typed: Compose, model: str, expected: dict[str, Any]) -> None:
    tree = lower(specify(typed(f"model=zoo/{model}", "schedule=1x")), INPUTS)["model"]
    assert {path: value(tree, path) for path in expected} == expected


def test_a_teacher_is_found_where_it_is_installed(typed: Compose) -> None:
    tree = lower(specify(typed("model=zoo/ld/ld_r18-gflv1-r101_fpn_1x_coco", "schedule=1x")), INPUTS)["model"]
    assert Path(tree["teacher_config"]).is_file()


def test_an_rpn_that_tells_objects_from_none_keeps_its_one_class(typed: Compose) -> None:
    tree = lower(specify(typed("model=zoo/fcos/fcos_r50-caffe_fpn_gn-head_1x_coco", "schedule=1x")), INPUTS)["model"]
    model = {"type": "FasterRCNN", "rpn_head": {"num_classes": 1}, "roi_head": {"bbox_head": tree["bbox_head"]}}
    set_class_count(model, 7)
    assert (model["rpn_head"]["num_classes"], model["roi_head"]["bbox_head"]["num_classes"]) == (1, 7)


def test_places_of_unknown_meaning_are_all_named() -> None:
    model = {"type": "X", "bbox_head": {"num_classes": 80}, "neck": [{"num_classes": 5}], "aux": {"num_classes": 2}}
    with pytest.raises(ConfigError, match=r"^model\.neck\.0\.num_classes, model\.aux\.num_classes: whether these are"):
        set_class_count(model, 3)


@pytest.mark.slow
def test_a_semantic_branch_is_refused_with_how_to_train_without(typed: Compose) -> None:
    from vision_research.checks.validation import validate

    words = ("model=zoo/htc/htc_r50_fpn_1x_coco", "schedule=1x")
    with pytest.raises(ConfigError, match=r"Type model\.roi_head\.semantic_head=null"):
        validate(specify(typed(*words)))
    validate(specify(typed(*words, "model.roi_head.semantic_head=null", "model.roi_head.semantic_roi_extractor=null")))
