"""Greedy non-maximum suppression with the arithmetic of `mmcv.ops.batched_nms`, in plain torch.

Same operations on the same float32 values in the same order as mmcv's CPU kernel, so the same boxes are kept, ties and
boundary cases included. Written for `torch.jit.script`.
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
    first_block: int = 256,
) -> Tensor:
    """Keep every box that no better kept box overlaps by more than `iou_threshold`.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        offset: 0, or 1 where a box's last pixel belongs to it.
        limit: stop when that many are kept; -1 keeps all.
        block_size: most boxes resolved against each other at once; larger means fewer steps and larger matrices.
        first_block: how many at first, doubled from step to step: where boxes lie in heaps, few suppress the rest, and
            to compare heaps with themselves is what costs.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    order = scores.sort(descending=True)[1]
    waiting = boxes[order]
    places = order
    kept = [order[:0]]
    kept_boxes = [boxes[:0]]
    count = 0
    size = min(first_block, block_size)
    while waiting.size(0) > 0 and (limit <= 0 or count < limit):
        block, waiting = waiting[:size], waiting[size:]
        block_places, places = places[:size], places[size:]
        if limit > 0 and count > 0:
            # Few boxes will be looked at: each when its turn comes, against those that were kept.
            spared = _spared(torch.cat(kept_boxes), block, iou_threshold, offset)
            block, block_places = block[spared], block_places[spared]
        survives = _resolve(_conflicts(block, block, iou_threshold, offset), block.size(0))
        kept.append(block_places[survives])
        kept_boxes.append(block[survives])
        count += kept[-1].size(0)
        if limit <= 0 and waiting.size(0) > 0:
            # All will be looked at: those that are suppressed need not be looked at again.
            spared = _spared(kept_boxes[-1], waiting, iou_threshold, offset)
            waiting, places = waiting[spared], places[spared]
        size = min(2 * size, block_size)
    keep = torch.cat(kept)
    return keep[:limit] if limit > 0 else keep


def _spared(boxes: Tensor, others: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """(B,) bool: which of (B, 4) others none of (A, 4) boxes overlaps by more than the threshold."""
    spared = torch.ones(others.size(0), dtype=torch.bool, device=others.device)
    spared[_conflicts(boxes, others, iou_threshold, offset)[1]] = False
    return spared


def _conflicts(boxes: Tensor, others: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """The pairs that overlap by more than the threshold.

    Most pairs do not touch, and comparing corners tells so for a fraction of what an IoU costs; only those that touch
    are computed, with mmcv's arithmetic.

    Args:
        boxes: (A, 4) float32, xyxy.
        others: (B, 4) float32, xyxy.
        iou_threshold: an IoU above it suppresses.
        offset: 0, or 1 where a box's last pixel belongs to it.

    Returns:
        (2, P) int64: indices into boxes and into others.
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
    area, other_area = _areas(boxes, offset)[pairs[0]], _areas(others, offset)[pairs[1]]
    return pairs[:, inter / (area + other_area - inter) > iou_threshold]


def _areas(boxes: Tensor, offset: int) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)


def _resolve(conflicts: Tensor, count: int) -> Tensor:
    """Which boxes of a block survive the greedy rule.

    A box survives when no surviving box before it suppresses it. That has one solution, and iterating reaches it in as
    many steps as the longest chain of suppressions, a handful, instead of one step a box.

    Args:
        conflicts: (2, P) int64 pairs of boxes that exclude each other, in both orders.
        count: of boxes.

    Returns:
        (count,) bool.
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
    """Shift (N, 4) boxes so that those of different (N,) groups cannot overlap.

    The very arithmetic of mmcv: rounding of the shifted coordinates decides near the threshold.
    """
    return boxes + (groups.to(boxes.dtype) * (boxes.max() + 1.0))[:, None]


def _order_matters(keep: Tensor, scores: Tensor, groups: Tensor) -> bool:
    """Whether another order of equal scores could give other boxes, or the same in another order.

    mmcv sorts each group by itself, and the survivors of all once more; torch's sort is not stable, so how equal scores
    come out depends on every value sorted. That is of no account where no two of the kept boxes (K,) are equal, and no
    two of one group down to the last of them.
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
        split_thr: from that many boxes on, each group is suppressed by itself.
        score_threshold: scores not above it are dropped first, where it is positive.
        offset: 0, or 1 where a box's last pixel belongs to it.
        max_num: keep at most that many, where it is positive.
        block_size: boxes resolved against each other at once.
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
            limit: the caller uses the first `limit` kept boxes only, so no more are looked for; -1 for all.

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
            # All groups at once, until there are enough: with no negative coordinate, groups that are apart stay apart.
            keep = self._suppress(separated, scores, limit + 1)
            if keep.size(0) > limit and not _order_matters(keep, scores, groups):
                return keep[:limit]
        keep = self._suppress_groups(separated, scores, groups)
        return keep[:limit] if limit > 0 else keep

    def _suppress_groups(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        """The kept boxes of every group, best score first."""
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
