"""Suppression that keeps the suppressed boxes as a group with the box that suppressed them (`mmcv.ops.nms_match`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vision_research.ops.nms import box_areas

# Rows of the matrix of overlaps that exist at once; with 2,000 boxes they take 4 MB.
BLOCK = 512


def nms_match(boxes: Tensor, scores: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group boxes.

    Args:
        boxes: (N, 4) float32, xyxy, on the CPU.
        scores: (N,) float32.
        iou_threshold: an IoU from it on suppresses the worse box.

    Returns:
        Groups of indices: one that is kept and after it those that it suppresses, best first.
    """
    order = scores.sort(descending=True)[1]
    ranked, areas = boxes[order], box_areas(boxes[order], 0)
    # As arrays, because a step on so few numbers takes NumPy a fifth of torch's time.
    places, is_free, groups = order.numpy(), np.ones(order.size(0), dtype=bool), []
    for start in range(0, order.size(0), BLOCK):
        conflicts = (_overlaps(ranked[start : start + BLOCK], ranked[start:], areas[start:]) >= iou_threshold).numpy()
        for row, place in enumerate(range(start, start + len(conflicts))):
            if is_free[place]:
                members = np.flatnonzero(conflicts[row, row + 1 :] & is_free[place + 1 :]) + place + 1
                is_free[members] = False
                groups.append([int(places[place]), *places[members].tolist()])
    return groups


def _overlaps(boxes: Tensor, others: Tensor, areas: Tensor) -> Tensor:
    """IoU of (A, 4) boxes with (B, 4) others, which begin with the boxes: (A, B) float32."""
    sides = torch.minimum(boxes[:, None, 2:], others[:, 2:]) - torch.maximum(boxes[:, None, :2], others[:, :2])
    inter = sides.clamp_(min=0.0).prod(2)
    return inter / (areas[: boxes.size(0), None] + areas - inter)
