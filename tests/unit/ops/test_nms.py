"""Suppression in plain torch against mmcv's compiled op: the same indices in the same order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmcv.ops import batched_nms
from torch import Tensor

from vision_research.ops.nms import BatchedNms, nms


def random_boxes(count: int, seed: int, ties: bool) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 300
    boxes = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * 120], 1)
    scores = torch.rand(count, generator=generator)
    if ties:
        # Whole pixels give equal overlaps, few distinct scores give ties, and some boxes are empty.
        boxes, scores = boxes.round(), (scores * 20).round() / 20
        boxes[: count // 10, 2:] = boxes[: count // 10, :2]
    return boxes, scores, torch.randint(0, 4, (count,), generator=generator)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [1, 2, 256, 257, 1500])
@pytest.mark.parametrize(
    "config",
    [
        {"iou_threshold": 0.5},
        {"iou_threshold": 0.65, "class_agnostic": True},
        {"iou_threshold": 0.3, "split_thr": 300},
        {"iou_threshold": 0.7, "max_num": 60, "split_thr": 300},
        {"iou_threshold": 0.5, "score_threshold": 0.4},
        {"iou_threshold": 0.5, "offset": 1},
        {"iou_threshold": 0.6, "split_thr": 300, "block_size": 40},
    ],
    ids=str,
)
def test_the_same_boxes_are_kept_as_by_mmcv(config: dict[str, Any], count: int, ties: bool) -> None:
    boxes, scores, groups = random_boxes(count, seed=count, ties=ties)
    theirs = {key: value for key, value in config.items() if key != "block_size"}
    detections, expected = batched_nms(boxes, scores, groups, {"type": "nms", **theirs})

    suppress = BatchedNms(**config)
    keep, kept_scores = suppress(boxes, scores, groups, -1)

    assert torch.equal(keep, expected)
    assert torch.equal(kept_scores, detections[:, -1])
    assert torch.equal(suppress(boxes, scores, groups, 10)[0], expected[:10])


@pytest.mark.slow
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("limit", [5, 40, 10_000])
@pytest.mark.parametrize("shift", [0, -150])
def test_heaps_of_many_groups_are_suppressed_as_by_mmcv(ties: bool, limit: int, shift: int) -> None:
    boxes, scores, groups = random_boxes(2000, seed=limit, ties=ties)
    # Twenty boxes to each place, and negative coordinates.
    boxes = boxes[torch.arange(2000) % 100] + torch.rand(2000, 4) + shift
    expected = batched_nms(boxes, scores, groups, {"type": "nms", "iou_threshold": 0.5, "split_thr": 300})[1]

    keep, _ = torch.jit.script(BatchedNms(0.5, split_thr=300))(boxes, scores, groups, limit)

    assert torch.equal(keep, expected[:limit])


def test_without_boxes_nothing_is_kept() -> None:
    empty = torch.zeros(0, dtype=torch.int64)

    keep, scores = BatchedNms(0.5)(torch.zeros(0, 4), torch.zeros(0), empty, 100)

    assert torch.equal(keep, empty)
    assert torch.equal(scores, torch.zeros(0))


def test_a_chain_of_overlaps_is_resolved_greedily() -> None:
    # Each box overlaps its neighbours by 0.6: the first suppresses the second, which then spares the third.
    x = torch.arange(600) * 25.0
    boxes = torch.stack([x, torch.zeros(600), x + 100, torch.full((600,), 10.0)], 1)

    keep = nms(boxes, torch.linspace(1, 0, 600), 0.55)

    assert keep.tolist() == list(range(0, 600, 2))


def test_an_overlap_equal_to_the_threshold_does_not_suppress() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 2.0, 1.0]])

    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.49).tolist() == [0]
