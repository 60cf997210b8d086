"""Overlaps and suppression of boxes, with the arguments of mmcv's extension."""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.ops.kernels import torchvision_kernels
from vision_research.ops.mmcv_ext.registry import operator
from vision_research.ops.nms import nms as plain_nms
from vision_research.ops.nms_match import nms_match as plain_nms_match
from vision_research.ops.precision import widened
from vision_research.ops.soft_nms import soft_nms

SOFT_METHODS = ("naive", "linear", "gaussian")


@operator("ious")
def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Write the IoU (mode 0), or the part of the first box (mode 1), of all pairs or of those in the same row."""
    one, other = (bboxes1, bboxes2) if aligned else (bboxes1[:, None], bboxes2[None])
    sides = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2]) + offset
    inter = sides.clamp(min=0).prod(-1)
    area, other_area = ((boxes[..., 2:] - boxes[..., :2] + offset).prod(-1) for boxes in (one, other))
    union = area + other_area - inter if mode == 0 else area.expand_as(inter)
    ious.copy_(inter / union.clamp(min=offset))


@operator()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the kept boxes, best score first."""
    boxes = widened(boxes)
    kernels = torchvision_kernels(boxes)
    if kernels is None:
        return plain_nms(boxes, scores, iou_threshold, offset)
    # The last pixel belongs to the box; torchvision has no option for it, so the corner is moved.
    moved = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], 1) if offset else boxes
    kept: Tensor = kernels.nms(moved, scores.to(moved.dtype), iou_threshold)
    return kept


@operator()
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Write the chosen boxes and their lowered scores into the rows of `dets`, (N, 5), and return their indices."""
    chosen, lowered = soft_nms(
        boxes.float(), scores.float(), iou_threshold, sigma, min_score, SOFT_METHODS[method], offset
    )
    dets[: chosen.numel(), :4], dets[: chosen.numel(), 4] = boxes[chosen], lowered
    return chosen


@operator()
def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Return groups of indices: a kept box, and after it those that it suppresses, best first."""
    return plain_nms_match(dets[:, :4].float(), dets[:, 4].float(), iou_threshold)
