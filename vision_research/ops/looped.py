"""NMS, Soft-NMS and RoI pooling for `torch.export` with torch's own operators only, as loops in the graph.

`.pt2` files use all of them. ONNX has operators for NMS and RoI pooling (`native.py`), but not for Soft-NMS. The
arithmetic is that of `nms.py`, `soft_nms.py` and `roi_align.py`, on whole blocks and with a weight for every sample,
because shapes in a loop are fixed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop as torch_while_loop

from vision_research.ops.native import NO_LIMIT, NativeNms, NativeRoiPooling, separate
from vision_research.ops.nms import box_areas
from vision_research.ops.soft_nms import BatchedSoftNms, decay, overlaps

BLOCK = 256

# torch's function has no types.
while_loop: Any = torch_while_loop


class LoopedNms(NativeNms):
    """`BatchedNms` as a loop of the graph."""

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        iou_threshold = self.iou_threshold
        order = scores.sort(descending=True)[1]
        order = order[scores[order] > self.score_threshold]
        count = torch.ones_like(order).sum()
        num_blocks = torch.div(count + BLOCK - 1, BLOCK, rounding_mode="floor")
        # The last block is filled with boxes of no size, which overlap nothing.
        places = torch.arange(num_blocks.item() * BLOCK)
        ranked = torch.cat([boxes[order], boxes.new_zeros(1, 4)])[torch.minimum(places, count)]

        def continues(block: Tensor, kept: Tensor, alive: Tensor) -> Tensor:
            return (block < num_blocks) & (kept.sum() < limit)

        def resolve(block: Tensor, kept: Tensor, alive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            rows = block * BLOCK + torch.arange(BLOCK)
            members = ranked[rows]
            chosen = _resolve(_suppresses(members, members, iou_threshold).triu(1), alive[rows])
            suppressed = (_suppresses(members, ranked, iou_threshold) & chosen[:, None]).any(0)
            return block + 1, kept.scatter(0, rows, chosen), alive & ~suppressed

        start = (torch.zeros((), dtype=torch.int64), torch.zeros_like(places, dtype=torch.bool), places < count)
        _, kept, _ = while_loop(continues, resolve, start)
        return order[torch.nonzero(kept).view(-1)[:limit]]


class LoopedSoftNms(nn.Module):
    """`BatchedSoftNms` without a branch that depends on a count.

    Unlike mmcv, it never treats the groups separately, because shifted boxes of different groups do not overlap.
    """

    def __init__(self, plain: BatchedSoftNms) -> None:
        super().__init__()
        self.iou_threshold, self.sigma = plain.iou_threshold, plain.sigma
        self.min_score, self.method = plain.min_score, plain.method
        self.class_agnostic, self.offset = plain.class_agnostic, plain.offset

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress as `BatchedSoftNms.forward`, and stop at the limit, because later scores are not higher."""
        offset = self.offset
        separated = boxes if self.class_agnostic else separate(boxes, groups)
        # Another box that is never chosen, because an empty tensor has no maximum.
        padded = torch.cat([separated, separated.new_zeros(1, 4)])
        left = torch.cat([scores, scores.new_zeros(1)])
        places, areas = torch.arange(padded.shape[0]), box_areas(padded, offset)
        most = limit if limit > 0 else NO_LIMIT

        def continues(step: Tensor, left: Tensor, waits: Tensor, turn: Tensor) -> Tensor:
            return waits.any() & (step < most)

        def choose(step: Tensor, left: Tensor, waits: Tensor, turn: Tensor) -> tuple[Tensor, ...]:
            best = torch.where(waits, left, torch.full_like(left, -1.0)).argmax().view(1)
            overlap = overlaps(padded[best], padded, areas[best], areas, offset)
            weight = decay(overlap, self.iou_threshold, self.sigma, self.method)
            is_best = places == best
            # Boxes that no longer wait keep their score.
            lowered = torch.where(waits & ~is_best, left * weight, left)
            stays = waits & ~is_best & (lowered >= self.min_score)
            return step + 1, lowered, stays, torch.where(is_best, step, turn)

        start = (
            torch.zeros((), dtype=torch.int64),
            left,
            places < places.shape[0] - 1,
            torch.full_like(places, NO_LIMIT),
        )
        _, lowered, _, turn = while_loop(continues, choose, start)
        chosen = torch.nonzero(turn < NO_LIMIT).view(-1)
        chosen = chosen[turn[chosen].argsort()]
        return chosen, lowered[chosen]


class LoopedRoiPooling(NativeRoiPooling):
    """`RoiPooling` as a loop of the graph."""

    def _pool(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        rows, columns = self.rows, self.columns
        starts, bins, grid = self._bins(rois, scale)
        cells = feature[0].permute(1, 2, 0).reshape(-1, feature.shape[1])
        # As tensors, because a loop must not read a size from outside that the graph computes.
        height, width = (torch.scalar_tensor(side, dtype=torch.int64) for side in feature.shape[2:])
        # The zeros are for an empty list of RoIs, which has no largest grid.
        most = torch.cat([grid, grid.new_zeros(1, 2)]).max(0)[0]

        def continues(y: Tensor, x: Tensor, total: Tensor) -> Tensor:
            return (y < most[1]) & (most[0] > 0)

        def add_sample(y: Tensor, x: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            top, bottom, below = _taps(starts[:, 1], bins[:, 1], grid[:, 1], y, rows, height)
            left, right, beside = _taps(starts[:, 0], bins[:, 0], grid[:, 0], x, columns, width)
            sample = torch.zeros_like(total)
            for row, row_weight in ((top, below[0]), (bottom, below[1])):
                for column, column_weight in ((left, beside[0]), (right, beside[1])):
                    weight = (row_weight[:, :, None] * column_weight[:, None, :])[..., None]
                    sample = sample + cells[row[:, :, None] * width + column[:, None, :]] * weight
            is_last = x + 1 >= most[0]
            return torch.where(is_last, y + 1, y), torch.where(is_last, torch.zeros_like(x), x + 1), total + sample

        total = (grid[:, :1, None, None] * 0.0).expand(-1, rows, columns, feature.shape[1]).contiguous()
        _, _, total = while_loop(continues, add_sample, (torch.zeros(()), torch.zeros(()), total))
        # An empty RoI has no samples; mmcv divides its zero by one.
        mean: Tensor = (total / (grid[:, 0] * grid[:, 1]).clamp(min=1.0)[:, None, None, None]).permute(0, 3, 1, 2)
        return mean

    def _bins(self, rois: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return corner and bin size of each RoI, cells, and its samples per bin: (N, 2) float32 each."""
        shift = 0.5 if self.aligned else 0.0
        starts = rois[:, :2] * scale - shift
        extents = rois[:, 2:] * scale - shift - starts
        if not self.aligned:
            extents = extents.clamp(min=1.0)
        bins = extents / torch.tensor([float(self.columns), float(self.rows)])
        ratio = float(self.sampling_ratio)
        return starts, bins, torch.ceil(bins) if ratio <= 0 else torch.full_like(bins, ratio)


def _suppresses(boxes: Tensor, others: Tensor, iou_threshold: float) -> Tensor:
    """Tell whether each of (A, 4) boxes overlaps each of (B, 4) others by more than the threshold: (A, B) bool."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    other_area = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    width = torch.minimum(boxes[:, None, 2], others[:, 2]) - torch.maximum(boxes[:, None, 0], others[:, 0])
    height = torch.minimum(boxes[:, None, 3], others[:, 3]) - torch.maximum(boxes[:, None, 1], others[:, 1])
    inter = width.clamp(min=0.0) * height.clamp(min=0.0)
    return inter / (area[:, None] + other_area - inter) > iou_threshold


def _resolve(conflicts: Tensor, alive: Tensor) -> Tensor:
    """Return which of the boxes alive in a block the greedy rule keeps, as `nms._resolve`: (A,) bool."""

    def has_changed(survives: Tensor, changed: Tensor) -> Tensor:
        return changed.clone()

    def update(survives: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        updated = alive & ~(conflicts & survives[:, None]).any(0)
        return updated, (updated != survives).any()

    survives: Tensor
    survives, _ = while_loop(has_changed, update, (alive.clone(), torch.ones((), dtype=torch.bool)))
    return survives


def _taps(
    start: Tensor, bin_size: Tensor, grid: Tensor, sample: Tensor, bins: int, size: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return what `roi_align._taps` does, with the weights as a pair."""
    position = start[:, None] + torch.arange(bins) * bin_size[:, None] + ((sample + 0.5) * bin_size / grid)[:, None]
    used = (sample < grid)[:, None] & (position >= -1.0) & (position <= size)
    position = torch.where(used, position, torch.zeros_like(position)).clamp(min=0.0)
    low = torch.minimum(position.to(torch.int64), size - 1)
    fraction = torch.where(low >= size - 1, torch.zeros_like(position), position - low)
    share = used.to(position.dtype)
    return low, torch.minimum(low + 1, size - 1), ((1.0 - fraction) * share, fraction * share)
