"""Layers and kinds of suppression whose operator nobody can compute here are named before a training."""

from __future__ import annotations

import pytest
from mmcv.ops import RiRoIAlignRotated, RoIAlign
from torch import nn

from vision_research.checks.operators import refused_operators
from vision_research.ops.mmcv_ext.choice import select


@pytest.fixture(autouse=True)
def plain() -> None:
    select("plain")


def test_a_layer_is_named_with_its_operator_and_what_to_type() -> None:
    detector = nn.Sequential(RoIAlign(7), RiRoIAlignRotated((7, 7), 0.25, 2, 8))

    (problem,) = refused_operators(detector, {"type": "MaskRCNN"})

    assert problem.startswith("model has a RiRoIAlignRotated: riroi_align_rotated_forward is an operator of mmcv that")
    assert problem.endswith("Compile mmcv's operators, and leave ops=plain out: python .ci/mmcv_wheel.py")


def test_a_kind_of_suppression_is_named_with_its_key() -> None:
    model = {"type": "RetinaNet", "test_cfg": {"nms": {"type": "nms_rotated", "iou_threshold": 0.5}}}

    (problem,) = refused_operators(nn.Identity(), model)

    assert problem.startswith(
        "model.test_cfg.nms.type=nms_rotated: nms_rotated is an operator of mmcv that exists as a"
    )


def test_what_is_written_in_plain_torch_is_not_refused() -> None:
    model = {"type": "RetinaNet", "test_cfg": {"nms": {"type": "soft_nms", "iou_threshold": 0.5}}}

    assert refused_operators(nn.Sequential(RoIAlign(7)), model) == []
