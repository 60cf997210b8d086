"""Suppression and RoI pooling for `torch.export` with nothing but torch's own operators: their loops are in the graph.

`ops/native.py` leaves both to operators of the format; a `.pt2` file has none to leave them to. Same arithmetic as
`nms.py` and `roi_align.py`, on whole blocks and with every sample weighed, since shapes in a loop are fixed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop as torch_while_loop

from vision_research.deploy.ops.native import NativeNms, NativeRoiPooling

BLOCK = 256

# torch leaves it without types.
while_loop: Any = torch_while_loop


class LoopedNms(NativeNms):
    """`BatchedNms` on `looped_nms`."""

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        return looped_nms(boxes, scores, self.iou_threshold, self.score_threshold, limit)


class LoopedRoiPooling(NativeRoiPooling):
    """`RoiPooling` on `looped_roi_align`."""

    def _pool(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        return looped_roi_align(feature, rois, (self.rows, self.columns), scale, self.sampling_ratio, self.aligned)


def looped_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int) -> Tensor:
    """Greedy suppression.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        score_threshold: scores not above it are dropped; negative for none.
        limit: keep at most that many.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    order = scores.sort(descending=True)[1]
    order = order[scores[order] > score_threshold]
    count = torch.ones_like(order).sum()
    num_blocks = torch.div(count + BLOCK - 1, BLOCK, rounding_mode="floor")
    # Filled up to whole blocks with boxes of no size, which overlap nothing.
    places = torch.arange(num_blocks.item() * BLOCK)
    ranked = torch.cat([boxes[order], boxes.new_zeros(1, 4)])[torch.minimum(places, count)]

    def goes_on(block: Tensor, kept: Tensor, alive: Tensor) -> Tensor:
        return (block < num_blocks) & (kept.sum() < limit)

    def resolve(block: Tensor, kept: Tensor, alive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = block * BLOCK + torch.arange(BLOCK)
        members = ranked[rows]
        chosen = _resolve(_suppresses(members, members, iou_threshold).triu(1), alive[rows])
        beaten = (_suppresses(members, ranked, iou_threshold) & chosen[:, None]).any(0)
        return block + 1, kept.scatter(0, rows, chosen), alive & ~beaten

    start = (torch.zeros((), dtype=torch.int64), torch.zeros_like(places, dtype=torch.bool), places < count)
    _, kept, _ = while_loop(goes_on, resolve, start)
    return order[torch.nonzero(kept).view(-1)[:limit]]


def _suppresses(boxes: Tensor, others: Tensor, iou_threshold: float) -> Tensor:
    """Whether each of (A, 4) boxes overlaps each of (B, 4) others by more than the threshold: (A, B) bool."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    other_area = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    width = torch.minimum(boxes[:, None, 2], others[:, 2]) - torch.maximum(boxes[:, None, 0], others[:, 0])
    height = torch.minimum(boxes[:, None, 3], others[:, 3]) - torch.maximum(boxes[:, None, 1], others[:, 1])
    inter = width.clamp(min=0.0) * height.clamp(min=0.0)
    return inter / (area[:, None] + other_area - inter) > iou_threshold


def _resolve(conflicts: Tensor, alive: Tensor) -> Tensor:
    """Which boxes of a block survive the greedy rule, as `nms._resolve_block`; of those alive, (A,) bool."""

    def is_unsettled(survives: Tensor, unsettled: Tensor) -> Tensor:
        return unsettled.clone()

    def update(survives: Tensor, unsettled: Tensor) -> tuple[Tensor, Tensor]:
        updated = alive & ~(conflicts & survives[:, None]).any(0)
        return updated, (updated != survives).any()

    survives: Tensor
    survives, _ = while_loop(is_unsettled, update, (alive.clone(), torch.ones((), dtype=torch.bool)))
    return survives


def looped_roi_align(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Pool (N, 4) RoIs from one (1, C, h, w) level into (N, C, rows, columns), averaging its samples."""
    channels = feature.shape[1]
    # As tensors: what a loop reads from outside must not be a size that the graph computes.
    height, width = (torch.scalar_tensor(side, dtype=torch.int64) for side in feature.shape[2:])
    shift = 0.5 if aligned else 0.0
    starts = rois[:, :2] * spatial_scale - shift
    extents = rois[:, 2:] * spatial_scale - shift - starts
    if not aligned:
        extents = extents.clamp(min=1.0)
    bins = extents / torch.tensor([float(output_size[1]), float(output_size[0])])
    grid = torch.ceil(bins) if sampling_ratio <= 0 else torch.full_like(bins, float(sampling_ratio))
    cells = feature[0].permute(1, 2, 0).reshape(-1, channels)
    # The zeros are for a list of no RoIs, which has no largest grid.
    most = torch.cat([grid, grid.new_zeros(1, 2)]).max(0)[0]

    def goes_on(y: Tensor, x: Tensor, total: Tensor) -> Tensor:
        return (y < most[1]) & (most[0] > 0)

    def add_sample(y: Tensor, x: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        top, bottom, below = _taps(starts[:, 1], bins[:, 1], grid[:, 1], y, output_size[0], height)
        left, right, beside = _taps(starts[:, 0], bins[:, 0], grid[:, 0], x, output_size[1], width)
        sample = torch.zeros_like(total)
        for row, row_weight in ((top, below[0]), (bottom, below[1])):
            for column, column_weight in ((left, beside[0]), (right, beside[1])):
                weight = (row_weight[:, :, None] * column_weight[:, None, :])[..., None]
                sample = sample + cells[row[:, :, None] * width + column[:, None, :]] * weight
        is_last = x + 1 >= most[0]
        return torch.where(is_last, y + 1, y), torch.where(is_last, torch.zeros_like(x), x + 1), total + sample

    total = (grid[:, :1, None, None] * 0.0).expand(-1, *output_size, channels).contiguous()
    _, _, total = while_loop(goes_on, add_sample, (torch.zeros(()), torch.zeros(()), total))
    # An empty RoI has no samples; mmcv divides its zero by one.
    mean: Tensor = (total / (grid[:, 0] * grid[:, 1]).clamp(min=1.0)[:, None, None, None]).permute(0, 3, 1, 2)
    return mean


def _taps(
    start: Tensor, bin_size: Tensor, grid: Tensor, sample: Tensor, bins: int, size: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """As `roi_align._taps`, the weights as a pair."""
    position = start[:, None] + torch.arange(bins) * bin_size[:, None] + ((sample + 0.5) * bin_size / grid)[:, None]
    used = (sample < grid)[:, None] & (position >= -1.0) & (position <= size)
    position = torch.where(used, position, torch.zeros_like(position)).clamp(min=0.0)
    low = torch.minimum(position.to(torch.int64), size - 1)
    fraction = torch.where(low >= size - 1, torch.zeros_like(position), position - low)
    share = used.to(position.dtype)
    return low, torch.minimum(low + 1, size - 1), ((1.0 - fraction) * share, fraction * share)
