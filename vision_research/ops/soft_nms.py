"""Soft-NMS with the arithmetic of `mmcv.ops.soft_nms`, in plain torch: it lowers scores instead of dropping boxes.

Each step chooses the best remaining box and lowers the scores of boxes that overlap it, so the steps depend on each
other. Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.ops.nms import box_areas, separate_groups

# Boxes whose factors `soft_nms` computes together.
SOFT_BLOCK = 256


def soft_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, sigma: float, min_score: float, method: str, offset: int
) -> tuple[Tensor, Tensor]:
    """Choose boxes one after another, lowering the scores of those that overlap the chosen one.

    Bodla et al., Soft-NMS: Improving Object Detection With One Line of Code, ICCV 2017. For the CPU and for Python
    alone: factors come in blocks, and a step is two passes over the scores.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU of at least this lowers a score (`naive` and `linear`).
        sigma: width of the Gaussian (`gaussian`).
        min_score: boxes whose score falls below it are dropped.
        method: `naive` drops boxes, `linear` multiplies scores by 1 - IoU, `gaussian` by a Gaussian of the IoU.
        offset: 0, or 1 where a box's last pixel belongs to it.

    Returns:
        (K,) int64 indices in the order chosen, and their (K,) float32 lowered scores, descending.
    """
    chosen: list[int] = []
    lowered: list[float] = []
    least = max(min_score, 0.0)
    waiting, left = torch.arange(boxes.size(0)), scores.clone()
    while waiting.numel() > 0:
        # Most of the boxes that are best now are chosen next, so that their factors are computed together.
        ranked = left.argsort(descending=True)[:SOFT_BLOCK]
        areas = box_areas(boxes[waiting], offset)
        block = boxes[waiting[ranked]]
        overlap = overlaps(block[:, None], boxes[waiting], areas[ranked][:, None], areas, offset)
        factors = decay(overlap, iou_threshold, sigma, method).numpy()
        rows, values = {int(place): row for row, place in enumerate(ranked)}, left.numpy()
        while True:
            best = int(values.argmax())
            # The first is chosen whatever its score, as in mmcv.
            if best not in rows or (chosen and values[best] < least):
                break
            chosen.append(int(waiting[best]))
            lowered.append(float(values[best]))
            values *= factors[rows[best]]
            # What is chosen stays the least.
            values[best], factors[:, best] = -1.0, 1.0
        stays = left >= least
        waiting, left = waiting[stays], left[stays]
    return torch.tensor(chosen, dtype=torch.int64), torch.tensor(lowered, dtype=scores.dtype)


def overlaps(box: Tensor, others: Tensor, area: Tensor, other_areas: Tensor, offset: int) -> Tensor:
    """Return the IoUs of a box with others, (N,) float32.

    Args:
        box: (1, 4) float32, xyxy; or (B, 1, 4), for the overlaps of several boxes, (B, N).
        others: (N, 4) float32, xyxy.
        area: (1,) float32, or (B, 1).
        other_areas: (N,) float32.
        offset: 0, or 1 where a box's last pixel belongs to it.
    """
    sides = torch.minimum(box[..., 2:], others[:, 2:]) - torch.maximum(box[..., :2], others[:, :2]) + offset
    sides = sides.clamp(min=0.0)
    inter = sides[..., 0] * sides[..., 1]
    return inter / (area + other_areas - inter)


def decay(overlap: Tensor, iou_threshold: float, sigma: float, method: str) -> Tensor:
    """Return the factors of the scores of boxes, (N,) float32.

    Args:
        overlap: (N,) float32, their IoUs with the chosen box.
        iou_threshold: as for `BatchedSoftNms`.
        sigma: as for `BatchedSoftNms`.
        method: as for `BatchedSoftNms`.
    """
    if method == "gaussian":
        return torch.exp(-(overlap * overlap) / sigma)
    reduced = torch.zeros_like(overlap) if method == "naive" else 1.0 - overlap
    return torch.where(overlap >= iou_threshold, reduced, torch.ones_like(overlap))


class BatchedSoftNms(nn.Module):
    """`mmcv.ops.batched_nms` for an `nms` dict of type `soft_nms`.

    Args:
        iou_threshold: an IoU of at least this lowers a score (`naive` and `linear`).
        sigma: width of the Gaussian (`gaussian`).
        min_score: boxes whose score falls below it are dropped.
        method: `naive` drops boxes, `linear` multiplies scores by 1 - IoU, `gaussian` by a Gaussian of the IoU.
        class_agnostic: as for `BatchedNms`.
        split_thr: as for `BatchedNms`.
        offset: as for `BatchedNms`.
    """

    def __init__(
        self,
        iou_threshold: float,
        sigma: float = 0.5,
        min_score: float = 1e-3,
        method: str = "linear",
        class_agnostic: bool = False,
        split_thr: int = 10000,
        offset: int = 0,
    ) -> None:
        super().__init__()
        self.iou_threshold = iou_threshold
        self.sigma = sigma
        self.min_score = min_score
        self.method = method
        self.class_agnostic = class_agnostic
        self.split_thr = split_thr
        self.offset = offset

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress boxes within their group (class or pyramid level).

        Args:
            boxes: (N, 4) float32, xyxy.
            scores: (N,) float32.
            groups: (N,) int64.
            limit: not used, because a score is known only after all better ones.

        Returns:
            (K,) int64 indices of the kept boxes, best first, and their (K,) float32 lowered scores.
        """
        if boxes.size(0) == 0:
            return groups, scores
        separated = boxes if self.class_agnostic else separate_groups(boxes, groups)
        if boxes.size(0) < self.split_thr:
            return self._suppress(separated, scores)
        kept = [groups[:0]]
        lowered = [scores[:0]]
        for group in torch.unique(groups):
            members = torch.nonzero(groups == group).view(-1)
            keep, left = self._suppress(separated[members], scores[members])
            kept.append(members[keep])
            lowered.append(left)
        best, order = torch.cat(lowered).sort(descending=True)
        return torch.cat(kept)[order], best

    def _suppress(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Choose boxes one after another, lowering the scores of those that overlap the chosen one."""
        areas = box_areas(boxes, self.offset)
        waiting = torch.arange(boxes.size(0), device=boxes.device)
        left = scores
        chosen = [waiting[:0]]
        lowered = [scores[:0]]
        while waiting.numel() > 0:
            best = left.argmax().view(1)
            index = waiting[best]
            chosen.append(index)
            lowered.append(left[best])
            overlap = overlaps(boxes[index], boxes[waiting], areas[index], areas[waiting], self.offset)
            left = left * decay(overlap, self.iou_threshold, self.sigma, self.method)
            stays = (left >= self.min_score) & (waiting != index)
            waiting, left = waiting[stays], left[stays]
        return torch.cat(chosen), torch.cat(lowered)
