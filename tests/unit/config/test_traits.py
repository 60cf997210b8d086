"""What is asked of a detector's config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from vision_research.config.schema import TrainConfig
from vision_research.config.traits import DetectorTraits, traits_of

Compose = Callable[..., TrainConfig]
SOFT_TEACHER = "zoo/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco"
MASK_TRACKER = "zoo/masktrack_rcnn/masktrack-rcnn_mask-rcnn_r50_fpn_8xb1-12e_youtubevis2019"
BYTETRACK = "zoo/bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval"
QDTRACK = "zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval"


def set_traits(traits: DetectorTraits) -> dict[str, Any]:
    return {key.name: value for key in fields(traits) if (value := getattr(traits, key.name))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("model=zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco",), {}),
        (("model=zoo/mask_rcnn/mask-rcnn_r50_fpn_1x_coco",), {"has_masks": True}),
        (("model=zoo/htc/htc_r50_fpn_1x_coco",), {"has_masks": True, "learns_from_maps": True}),
        (
            ("model=zoo/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco",),
            {"has_masks": True, "is_panoptic": True, "learns_from_maps": True},
        ),
        (("model=zoo/rpn/rpn_r50_fpn_1x_coco",), {"is_class_agnostic": True}),
        (("model=zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco",), {"takes_proposals": True}),
        (("model=zoo/glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco",), {"reads_text": True}),
        ((f"model={SOFT_TEACHER}",), {"is_semi_supervised": True, "predicts_on": "teacher"}),
        (
            (f"model={SOFT_TEACHER}", "model.semi_test_cfg.predict_on=student"),
            {"is_semi_supervised": True, "predicts_on": "student"},
        ),
        (("model=zoo/reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20",), {"is_reid": True}),
        ((f"model={QDTRACK}",), {"is_tracker": True}),
        (
            (f"model={QDTRACK}", f"aug={QDTRACK}"),
            {"is_tracker": True, "video_splits": frozenset({"train", "val", "test"})},
        ),
        (
            (f"model={MASK_TRACKER}", f"aug={MASK_TRACKER}"),
            {"is_tracker": True, "has_masks": True, "video_splits": frozenset({"train", "val", "test"})},
        ),
    ],
)
def test_traits_of_a_zoo_file(typed: Compose, words: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert set_traits(traits_of(typed(*words))) == expected


def test_bytetrack_trains_on_images_and_validates_on_videos(typed: Compose) -> None:
    traits = traits_of(typed(f"model={BYTETRACK}", f"aug={BYTETRACK}"))
    assert traits.video_splits == {"val", "test"}


def test_traits_are_those_of_an_mmengine_config_too() -> None:
    from mmengine.config import Config

    config = Config({"model": {"type": "FastRCNN", "language_model": {"type": "BertModel"}}})
    assert set_traits(DetectorTraits.of(config.model)) == {"takes_proposals": True, "reads_text": True}


@pytest.mark.parametrize("experiment", ["bytetrack", "qdtrack", BYTETRACK])
def test_every_tracker_of_boxes_is_chosen_by_the_same_value(typed: Compose, experiment: str) -> None:
    assert typed(f"experiment={experiment}").schedule.monitor == "motchallenge-metric/HOTA"
