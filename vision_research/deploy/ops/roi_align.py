"""RoIAlign in plain torch, exact with adaptive sampling, and the level of the pyramid that each RoI reads.

Bilinear weights and the average over the sampling grid factor into one matrix per axis, so a bin row is `Wy F Wx^T`.
Both matrices are built on a window around the RoI only: on a whole feature map they would be nearly all zeros.
Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
    chunk_size: int = 64,
) -> Tensor:
    """Average-pool each RoI into a fixed grid, as `mmcv.ops.RoIAlign` with `pool_mode='avg'`.

    Args:
        feature: (C, H, W) float32, one image's feature map.
        rois: (N, 4) float32, xyxy, pixels of the network's input.
        output_size: bins (rows, columns).
        spatial_scale: feature cells per input pixel.
        sampling_ratio: samples per bin and axis; 0 takes as many as the bin has cells (rounded up).
        aligned: whether the coordinates are shifted by half a cell.
        chunk_size: RoIs computed at once; the window of a chunk is as large as its largest RoI, so a chunk holds RoIs
            of similar size.

    Returns:
        (N, C, rows, columns) float32.
    """
    offset = 0.5 if aligned else 0.0
    starts = rois[:, :2] * spatial_scale - offset
    extents = rois[:, 2:] * spatial_scale - offset - starts
    if not aligned:
        extents = extents.clamp(min=1.0)
    cells = feature.permute(1, 2, 0).contiguous()
    pooled = feature.new_zeros(rois.size(0), feature.size(0), output_size[0], output_size[1])
    if rois.size(0) == 0:
        return pooled
    # Widths by powers of two, heights within them.
    order = (torch.ceil(torch.log2(extents[:, 0].clamp(min=1.0))) * 65536.0 + extents[:, 1]).argsort()
    for chunk in order.split(chunk_size):
        rows, row_weights = _axis_weights(
            starts[chunk, 1], extents[chunk, 1], feature.size(1), output_size[0], sampling_ratio
        )
        columns, column_weights = _axis_weights(
            starts[chunk, 0], extents[chunk, 0], feature.size(2), output_size[1], sampling_ratio
        )
        pooled[chunk] = _pool_windows(cells, rows, columns, row_weights, column_weights)
    return pooled


def _pool_windows(cells: Tensor, rows: Tensor, columns: Tensor, row_weights: Tensor, column_weights: Tensor) -> Tensor:
    """`Wy F Wx^T` on each RoI's window.

    Args:
        cells: (H, W, C) float32.
        rows: (N, h) int64, the window's rows.
        columns: (N, w) int64, the window's columns.
        row_weights: (N, out_h, h) float32.
        column_weights: (N, out_w, w) float32.

    Returns:
        (N, C, out_h, out_w) float32.
    """
    num_rois, out_h, height = row_weights.size(0), row_weights.size(1), row_weights.size(2)
    width, channels = columns.size(1), cells.size(2)
    pooled = [cells.new_zeros(0, out_h, column_weights.size(1), channels)]
    # At most 64 MiB of windows at once: RoIs that cover a single-level map of 1024 channels need a bound.
    step = max(1, 16777216 // (height * width * channels))
    for begin in range(0, num_rois, step):
        end = min(begin + step, num_rois)
        windows = cells[rows[begin:end, :, None], columns[begin:end, None, :]].view(-1, height, width * channels)
        by_row = torch.bmm(row_weights[begin:end], windows).view(-1, out_h, width, channels)
        pooled.append(torch.matmul(column_weights[begin:end, None], by_row))
    return torch.cat(pooled).permute(0, 3, 1, 2)


def _axis_weights(start: Tensor, extent: Tensor, size: int, bins: int, sampling_ratio: int) -> tuple[Tensor, Tensor]:
    """The pooling matrix of one axis, on the window of cells that each RoI reads.

    Args:
        start: (N,) float32, cells.
        extent: (N,) float32, cells.
        size: cells of the feature map along this axis.
        bins: bins along this axis.
        sampling_ratio: samples per bin, or 0 for adaptive.

    Returns:
        (N, L) int64 cell indices of the windows, and (N, bins, L) float32 weights.
    """
    bin_size = extent / bins
    samples = torch.ceil(bin_size) if sampling_ratio <= 0 else torch.full_like(bin_size, float(sampling_ratio))
    num_samples = int(samples.max())
    sample = torch.arange(num_samples, device=start.device)
    # (N, bins, samples): mmcv's expression, in its order, so that positions round alike.
    position = (
        start[:, None, None]
        + torch.arange(bins, device=start.device)[None, :, None] * bin_size[:, None, None]
        + (sample + 0.5)[None, None, :] * bin_size[:, None, None] / samples[:, None, None]
    )
    used = (sample < samples[:, None, None]) & (position >= -1.0) & (position <= size)
    # Positions outside are weighted zero below; the clamp keeps their indices, and NaN of an empty RoI, within bounds.
    position = torch.where(used, position, torch.zeros_like(position)).clamp(0.0, float(size - 1))
    low = position.to(torch.int64)
    fraction = position - low
    share = used.to(start.dtype) / samples.clamp(min=1.0)[:, None, None]
    return _window(low, fraction, used, share, size)


def _window(low: Tensor, fraction: Tensor, used: Tensor, share: Tensor, size: int) -> tuple[Tensor, Tensor]:
    num_rois, bins = low.size(0), low.size(1)
    if low.numel() == 0:
        return low.new_zeros(num_rois, 1), fraction.new_zeros(num_rois, bins, 1)
    first = torch.where(used, low, torch.full_like(low, size - 1)).flatten(1).amin(1)
    last = torch.where(used, low, torch.zeros_like(low)).flatten(1).amax(1)
    length = int((last - first).clamp(min=0).max()) + 2
    near = (low - first[:, None, None]).clamp(0, length - 2)
    weights = fraction.new_zeros(num_rois, bins, length)
    weights.scatter_add_(2, near, (1.0 - fraction) * share)
    weights.scatter_add_(2, near + 1, fraction * share)
    # The cell after the last one has weight zero (`fraction` is zero there), so clamping its index is harmless.
    cells = (first[:, None] + torch.arange(length, device=low.device)).clamp(max=size - 1)
    return cells, weights


def map_roi_levels(rois: Tensor, num_levels: int, finest_scale: float) -> Tensor:
    """The pyramid level that each RoI reads, by its size (`SingleRoIExtractor.map_roi_levels`).

    Args:
        rois: (N, 4) float32, xyxy, pixels of the network's input.
        num_levels: levels to choose from.
        finest_scale: RoIs up to twice this size, in pixels, read level 0.

    Returns:
        (N,) int64.
    """
    scale = torch.sqrt((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1]))
    level = torch.floor(torch.log2(scale / finest_scale + 1e-6))
    return level.clamp(min=0, max=num_levels - 1).to(torch.int64)
