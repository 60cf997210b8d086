"""Greedy non-maximum suppression with the arithmetic of `mmcv.ops.batched_nms`, in plain torch.

Same operations on the same float32 values in the same order as mmcv's CPU kernel, so the same boxes are kept, ties and
boundary cases included. Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0, limit: int = -1, block_size: int = 1024
) -> Tensor:
    """Keep every box that no better kept box overlaps by more than `iou_threshold`.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        offset: 0, or 1 where a box's last pixel belongs to it.
        limit: stop when that many are kept; -1 keeps all.
        block_size: boxes resolved against each other at once; a larger block means fewer steps and larger matrices.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    order = scores.sort(descending=True)[1]
    waiting = boxes[order]
    places = order
    kept = [order[:0]]
    count = 0
    while waiting.size(0) > 0 and (limit <= 0 or count < limit):
        block, waiting = waiting[:block_size], waiting[block_size:]
        survives = _resolve(_conflicts(block, block, iou_threshold, offset), block.size(0))
        kept.append(places[:block_size][survives])
        count += kept[-1].size(0)
        places = places[block_size:]
        if waiting.size(0) > 0:
            spared = torch.ones(waiting.size(0), dtype=torch.bool, device=boxes.device)
            spared[_conflicts(block[survives], waiting, iou_threshold, offset)[1]] = False
            waiting, places = waiting[spared], places[spared]
    keep = torch.cat(kept)
    return keep[:limit] if limit > 0 else keep


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
        # mmcv sorts the survivors of all groups, and torch's sort is not stable: how equal scores come out depends on
        # every value sorted. So groups may stop early at the limit only where that leaves no two equal scores on top.
        keep, was_cut = self._suppress_groups(separated, scores, groups, limit + 1 if limit > 0 else -1)
        if was_cut:
            best = scores[keep[: limit + 1]]
            if bool((best[1:] == best[:-1]).any()):
                keep, _ = self._suppress_groups(separated, scores, groups, -1)
        return keep[:limit] if limit > 0 else keep

    def _suppress_groups(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, bool]:
        """The kept boxes of every group, and whether the limit may have cut one short."""
        kept = [groups[:0]]
        was_cut = False
        for group in torch.unique(groups):
            members = torch.nonzero(groups == group).view(-1)
            # A group that is one block is resolved whole, so a limit would gain nothing.
            bound = limit if members.size(0) > self.block_size else -1
            was_cut = was_cut or bound > 0
            kept.append(members[self._suppress(boxes[members], scores[members], bound)])
        keep = torch.cat(kept).sort()[0]
        return keep[scores[keep].sort(descending=True)[1]], was_cut

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        if self.score_threshold > 0:
            valid = torch.nonzero(scores > self.score_threshold).view(-1)
            return valid[nms(boxes[valid], scores[valid], self.iou_threshold, self.offset, limit, self.block_size)]
        return nms(boxes, scores, self.iou_threshold, self.offset, limit, self.block_size)
