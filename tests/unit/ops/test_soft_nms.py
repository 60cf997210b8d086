"""Soft suppression in plain torch against mmcv's compiled op: the same boxes, scores and order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmcv.ops import batched_nms
from torch import Tensor
from torch.export import Dim

from vision_research.ops.looped import LoopedSoftNms
from vision_research.ops.soft_nms import BatchedSoftNms

CONFIGS: list[dict[str, Any]] = [
    {"iou_threshold": 0.5},
    {"iou_threshold": 0.3, "method": "naive"},
    {"iou_threshold": 0.3, "method": "gaussian", "sigma": 0.3, "min_score": 0.05},
    {"iou_threshold": 0.4, "class_agnostic": True, "offset": 1},
    {"iou_threshold": 0.5, "split_thr": 100},
]


def random_boxes(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, generator=generator) * 200
    boxes = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * 120], 1)
    return boxes, torch.rand(count, generator=generator), torch.randint(0, 3, (count,), generator=generator)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("count", [1, 300])
def test_boxes_and_lowered_scores_are_those_of_mmcv(config: dict[str, Any], count: int) -> None:
    boxes, scores, groups = random_boxes(count)
    expected, expected_keep = batched_nms(boxes, scores, groups, {"type": "soft_nms", **config})

    keep, lowered = torch.jit.script(BatchedSoftNms(**config))(boxes, scores, groups, 10)

    assert torch.equal(keep, expected_keep)
    assert torch.allclose(lowered, expected[:, -1], atol=1e-6)


def test_without_boxes_nothing_is_kept() -> None:
    keep, scores = BatchedSoftNms(0.5)(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 100)

    assert (keep.shape, scores.shape) == ((0,), (0,))


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS[1:4], ids=str)
def test_its_loop_in_a_graph_gives_the_same_for_any_number_of_boxes(config: dict[str, Any]) -> None:
    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.suppress = LoopedSoftNms(BatchedSoftNms(**config))

        def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
            # As after a threshold: how many there are is known in the graph alone.
            found = torch.nonzero(scores > 0.2).view(-1)
            keep, lowered = self.suppress(boxes[found], scores[found], groups[found], 25)
            return found[keep], lowered

    example = random_boxes(40)
    count = Dim("count", min=2, max=1000)
    graph = torch.export.export(First(), example, dynamic_shapes=({0: count},) * 3, strict=False).module()

    for number in (2, 40, 120):
        boxes, scores, groups = random_boxes(number)
        found = torch.nonzero(scores > 0.2).view(-1)
        expected, expected_scores = BatchedSoftNms(**config)(boxes[found], scores[found], groups[found], 25)
        keep, lowered = graph(boxes, scores, groups)
        assert torch.equal(keep, found[expected[:25]])
        torch.testing.assert_close(lowered, expected_scores[:25], atol=1e-6, rtol=0)
    keep, _ = graph(boxes, torch.zeros_like(scores), groups)
    assert keep.numel() == 0
