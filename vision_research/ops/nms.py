"""Greedy non-maximum suppression with the arithmetic of `mmcv.ops.batched_nms`, in plain torch.

It does the same operations on the same float32 values in the same order as mmcv's CPU kernel, so that it keeps the same
boxes, also for ties and boundary cases. Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    offset: int = 0,
    limit: int = -1,
    block_size: int = 1024,
) -> Tensor:
    """Keep every box that no better kept box overlaps by more than `iou_threshold`.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        offset: 0, or 1 where a box's last pixel belongs to it.
        limit: stop when that many are kept; -1 keeps all.
        block_size: how many boxes are compared with each other at most; larger means fewer steps and larger matrices.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    order = scores.sort(descending=True)[1]
    waiting = boxes[order]
    places = order
    kept = [order[:0]]
    kept_boxes = [boxes[:0]]
    count = 0
    # Blocks double from step to step. Where many boxes overlap, a few suppress most of the rest, which then need not be
    # compared with each other.
    size = min(256, block_size)
    while waiting.size(0) > 0 and (limit <= 0 or count < limit):
        block, waiting = waiting[:size], waiting[size:]
        block_places, places = places[:size], places[size:]
        if limit > 0 and count > 0:
            # Only few boxes are needed: compare each block with the kept boxes when its turn comes.
            rest = _unsuppressed(torch.cat(kept_boxes), block, iou_threshold, offset)
            block, block_places = block[rest], block_places[rest]
        survives = _resolve(_conflicts(block, block, iou_threshold, offset), block.size(0))
        kept.append(block_places[survives])
        kept_boxes.append(block[survives])
        count += kept[-1].size(0)
        if limit <= 0 and waiting.size(0) > 0:
            # All boxes are needed: remove those that the new boxes suppress.
            rest = _unsuppressed(kept_boxes[-1], waiting, iou_threshold, offset)
            waiting, places = waiting[rest], places[rest]
        size = min(2 * size, block_size)
    keep = torch.cat(kept)
    return keep[:limit] if limit > 0 else keep


def _unsuppressed(boxes: Tensor, others: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return which of (B, 4) others none of (A, 4) boxes overlaps by more than the threshold: (B,) bool."""
    rest = torch.ones(others.size(0), dtype=torch.bool, device=others.device)
    rest[_conflicts(boxes, others, iou_threshold, offset)[1]] = False
    return rest


def _conflicts(boxes: Tensor, others: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Find the pairs that overlap by more than the threshold.

    Most pairs do not touch, and comparing corners takes much less time than computing an IoU. The IoU is computed, with
    mmcv's arithmetic, only for pairs that touch. Returns (2, P) int64 indices into boxes and into others.
    """
    reach, other_reach = boxes[:, 2:] + offset, others[:, 2:] + offset
    touching = boxes[:, None, 0] <= other_reach[:, 0]
    touching &= others[:, 0] <= reach[:, None, 0]
    touching &= boxes[:, None, 1] <= other_reach[:, 1]
    touching &= others[:, 1] <= reach[:, None, 1]
    pairs = torch.nonzero(touching).t().contiguous()
    one, other = boxes.index_select(0, pairs[0]), others.index_select(0, pairs[1])
    sides = torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2]) + offset
    sides = sides.clamp_(min=0.0)
    inter = sides[:, 0] * sides[:, 1]
    area, other_area = box_areas(boxes, offset)[pairs[0]], box_areas(others, offset)[pairs[1]]
    return pairs[:, inter / (area + other_area - inter) > iou_threshold]


def box_areas(boxes: Tensor, offset: int) -> Tensor:
    """Return the areas of boxes, (N,) float32.

    Args:
        boxes: (N, 4) float32, xyxy.
        offset: 0, or 1 where a box's last pixel belongs to it.
    """
    return (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)


def _resolve(conflicts: Tensor, count: int) -> Tensor:
    """Return which boxes of a block the greedy rule keeps.

    A box is kept if no kept box before it suppresses it. This has one solution, which iteration reaches in as many
    steps as the longest chain of suppressions has boxes, which are few. `conflicts` are the (2, P) pairs of boxes that
    suppress each other, in both orders.
    """
    earlier, later = conflicts.unbind(0)
    forward = earlier < later
    earlier, later = earlier[forward], later[forward]
    survives = torch.ones(count, dtype=torch.bool, device=conflicts.device)
    settled = False
    while not settled:
        updated = torch.ones_like(survives)
        updated[later[survives[earlier]]] = False
        settled = bool((updated == survives).all())
        survives = updated
    return survives


def separate_groups(boxes: Tensor, groups: Tensor) -> Tensor:
    """Shift boxes so that boxes of different groups cannot overlap.

    This is mmcv's arithmetic, because rounding of the shifted coordinates decides near the threshold.

    Args:
        boxes: (N, 4) float32, xyxy.
        groups: (N,) int64.
    """
    return boxes + (groups.to(boxes.dtype) * (boxes.max() + 1.0))[:, None]


def _order_matters(keep: Tensor, scores: Tensor, groups: Tensor) -> bool:
    """Tell whether another order of equal scores could give other boxes, or the same boxes in another order.

    mmcv sorts each group by itself, and then the kept boxes of all groups. torch's sort is not stable, so the order of
    equal scores depends on all values. It does not matter if no two kept boxes have the same score, and no two boxes of
    a group down to the last kept one.
    """
    best = scores[keep]
    ranked, order = scores[scores >= best[-1]].sort(descending=True)
    ranked_groups = groups[scores >= best[-1]][order]
    equal = ranked[1:] == ranked[:-1]
    of_one_group = equal & (ranked_groups[1:] == ranked_groups[:-1])
    return bool((best[1:] == best[:-1]).any() | of_one_group.any() | (equal[1:] & equal[:-1]).any())


class BatchedNms(nn.Module):
    """`mmcv.ops.batched_nms` for one `nms` dict of a test_cfg.

    Args:
        iou_threshold: an IoU above it suppresses the worse box.
        class_agnostic: whether boxes of different groups suppress each other.
        split_thr: from that number of boxes on, each group is suppressed by itself.
        score_threshold: if positive, boxes with a score that is not above it are dropped first.
        offset: 0, or 1 where a box's last pixel belongs to it.
        max_num: if positive, how many boxes to keep at most.
        block_size: how many boxes are compared with each other at most.
    """

    def __init__(
        self,
        iou_threshold: float,
        class_agnostic: bool = False,
        split_thr: int = 10000,
        score_threshold: float = 0.0,
        offset: int = 0,
        max_num: int = -1,
        block_size: int = 1024,
    ) -> None:
        super().__init__()
        self.iou_threshold = iou_threshold
        self.class_agnostic = class_agnostic
        self.split_thr = split_thr
        self.score_threshold = score_threshold
        self.offset = offset
        self.max_num = max_num
        self.block_size = block_size

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress boxes within their group (class or pyramid level).

        Args:
            boxes: (N, 4) float32, xyxy.
            scores: (N,) float32.
            groups: (N,) int64.
            limit: how many boxes the caller uses; further ones need not be found. -1 for all.

        Returns:
            (K,) int64 indices of the kept boxes, best score first, and their (K,) float32 scores.
        """
        keep = self._keep(boxes, scores, groups, limit)
        return keep, scores[keep]

    def _keep(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> Tensor:
        if boxes.size(0) == 0:
            return groups
        if self.max_num > 0:
            limit = min(limit, self.max_num) if limit > 0 else self.max_num
        separated = boxes if self.class_agnostic else separate_groups(boxes, groups)
        if boxes.size(0) < self.split_thr:
            return self._suppress(separated, scores, limit)
        if limit > 0 and not self.class_agnostic and bool(boxes.min() >= 0):
            # Suppress all groups at once until there are enough boxes; without negative coordinates, shifted groups
            # cannot overlap.
            keep = self._suppress(separated, scores, limit + 1)
            if keep.size(0) > limit and not _order_matters(keep, scores, groups):
                return keep[:limit]
        keep = self._suppress_groups(separated, scores, groups)
        return keep[:limit] if limit > 0 else keep

    def _suppress_groups(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        """Return the kept boxes of all groups, best score first."""
        kept = [groups[:0]]
        for group in torch.unique(groups):
            members = torch.nonzero(groups == group).view(-1)
            kept.append(members[self._suppress(boxes[members], scores[members], -1)])
        keep = torch.cat(kept).sort()[0]
        return keep[scores[keep].sort(descending=True)[1]]

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        if self.score_threshold > 0:
            valid = torch.nonzero(scores > self.score_threshold).view(-1)
            return valid[nms(boxes[valid], scores[valid], self.iou_threshold, self.offset, limit, self.block_size)]
        return nms(boxes, scores, self.iou_threshold, self.offset, limit, self.block_size)
