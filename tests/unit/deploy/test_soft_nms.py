"""Soft suppression in plain torch against mmcv's compiled op: the same boxes, scores and order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmcv.ops import batched_nms

from vision_research.deploy.ops.soft_nms import BatchedSoftNms


@pytest.mark.parametrize(
    "config",
    [
        {"iou_threshold": 0.5},
        {"iou_threshold": 0.3, "method": "naive"},
        {"iou_threshold": 0.3, "method": "gaussian", "sigma": 0.3, "min_score": 0.05},
        {"iou_threshold": 0.4, "class_agnostic": True, "offset": 1},
        {"iou_threshold": 0.5, "split_thr": 100},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [1, 300])
def test_boxes_and_lowered_scores_are_those_of_mmcv(config: dict[str, Any], count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, generator=generator) * 200
    boxes = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * 120], 1)
    scores = torch.rand(count, generator=generator)
    groups = torch.randint(0, 3, (count,), generator=generator)
    expected, expected_keep = batched_nms(boxes, scores, groups, {"type": "soft_nms", **config})

    keep, lowered = torch.jit.script(BatchedSoftNms(**config))(boxes, scores, groups, 10)

    assert torch.equal(keep, expected_keep)
    assert torch.allclose(lowered, expected[:, -1], atol=1e-6)


def test_without_boxes_nothing_is_kept() -> None:
    keep, scores = BatchedSoftNms(0.5)(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 100)

    assert (keep.shape, scores.shape) == ((0,), (0,))
