"""Deformable RoI pooling: RoIAlign whose bins are moved by offsets. mmcv has it for GPUs alone.

Dai et al., Deformable Convolutional Networks, ICCV 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def deform_roi_pool(
    features: Tensor,
    rois: Tensor,
    images: Tensor,
    offset: Tensor | None,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> Tensor:
    """Average-pool each RoI into a grid of moved bins; differentiable by the maps and the offsets.

    Args:
        features: (B, C, H, W).
        rois: (N, 4) xyxy, pixels of the network's input.
        images: (N,) int64, the index of each RoI's image in the batch.
        offset: (N, 2, rows, columns), by which each bin is moved right and down, in parts of the RoI's size.
        output_size: bins (rows, columns).
        spatial_scale: feature cells per input pixel.
        sampling_ratio: samples per bin and axis; 0 takes as many as the bin has cells (rounded up).
        gamma: factor of the offsets.

    Returns:
        (N, C, rows, columns).
    """
    channels, height, width = features.shape[1:]
    corners = rois * spatial_scale - 0.5
    sizes = corners[:, 2:] - corners[:, :2]
    bins = sizes / sizes.new_tensor([output_size[1], output_size[0]])
    grid = torch.ceil(bins) if sampling_ratio <= 0 else torch.full_like(bins, float(sampling_ratio))
    # (N, rows, columns) of each: where a bin begins.
    index = [torch.arange(size, device=rois.device) for size in output_size]
    y = (corners[:, 1, None] + index[0] * bins[:, 1, None])[:, :, None].expand(-1, -1, output_size[1])
    x = (corners[:, 0, None] + index[1] * bins[:, 0, None])[:, None, :].expand(-1, output_size[0], -1)
    if offset is not None:
        x = x + gamma * sizes[:, 0, None, None] * offset[:, 0]
        y = y + gamma * sizes[:, 1, None, None] * offset[:, 1]
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    total = features.new_zeros(rois.size(0) * output_size[0] * output_size[1], channels)
    most = [int(value) for value in grid.max(0)[0]] if rois.size(0) else [0, 0]
    for down in range(most[1]):
        rows = _taps(y + _step(bins[:, 1], grid[:, 1], down), down < grid[:, 1], height)
        for right in range(most[0]):
            columns = _taps(x + _step(bins[:, 0], grid[:, 0], right), right < grid[:, 0], width)
            cells, weights = [], []
            for row, row_weight in rows:
                for column, column_weight in columns:
                    cells.append(((images[:, None, None] * height + row) * width + column).reshape(-1))
                    weights.append((row_weight * column_weight).reshape(-1))
            weight = torch.stack(weights, 1).to(table.dtype)
            total = total + F.embedding_bag(torch.stack(cells, 1), table, per_sample_weights=weight, mode="sum")
    count = grid.prod(1).clamp(min=1.0)[:, None, None].to(total.dtype)
    pooled = total.view(rois.size(0), -1, channels) / count
    return pooled.transpose(1, 2).reshape(rois.size(0), channels, *output_size)


def _step(bin_size: Tensor, grid: Tensor, sample: int) -> Tensor:
    """Return how far a sample lies from where its bin begins, (N, 1, 1) cells."""
    return ((sample + 0.5) * bin_size / grid.clamp(min=1.0))[:, None, None]


def _taps(position: Tensor, is_used: Tensor, size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the cells below and above each position on one axis, each with its weight."""
    is_inside = is_used[:, None, None] & (position >= -1.0) & (position <= size)
    place = torch.where(is_inside, position, torch.zeros_like(position)).clamp(min=0.0)
    low = place.detach().to(torch.int64).clamp(max=size - 1)
    fraction = torch.where(low >= size - 1, torch.zeros_like(place), place - low)
    return (low, (1 - fraction) * is_inside), ((low + 1).clamp(max=size - 1), fraction * is_inside)
