"""RoIAlign in plain torch, equal to mmcv's CPU kernel to the last bit, on the pyramid level that fits a RoI's size.

It adds the samples of a bin one after another, in mmcv's order. A product with one matrix per axis is up to twice as
fast but rounds differently, and a difference of 1e-7 is enough to change a suppression or the order of a tie, so that
a correct export might fail its verification. Written for `torch.jit.script`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def roi_align(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Average-pool each RoI into a fixed grid, as `mmcv.ops.RoIAlign` with `pool_mode='avg'`.

    Args:
        feature: (C, H, W) float32, one image's feature map.
        rois: (N, 4) float32, xyxy, pixels of the network's input.
        output_size: bins (rows, columns).
        spatial_scale: feature cells per input pixel.
        sampling_ratio: samples per bin and axis; 0 takes as many as the bin has cells (rounded up).
        aligned: whether the coordinates are shifted by half a cell.

    Returns:
        (N, C, rows, columns) float32.
    """
    rows, columns = output_size
    starts = rois[:, :2] * spatial_scale - (0.5 if aligned else 0.0)
    extents = rois[:, 2:] * spatial_scale - (0.5 if aligned else 0.0) - starts
    if not aligned:
        extents = extents.clamp(min=1.0)
    bins = torch.stack([extents[:, 0] / columns, extents[:, 1] / rows], dim=1)
    grid = torch.ceil(bins) if sampling_ratio <= 0 else torch.full_like(bins, float(sampling_ratio))
    # Contiguous, so that the channels of a cell are next to each other in memory.
    cells = feature.permute(1, 2, 0).contiguous().view(-1, feature.size(0))
    pooled = feature.new_zeros(rois.size(0), rows * columns, feature.size(0))
    # A chunk has RoIs with equal sampling grids, so that none is computed for more samples than it has. Chunks are
    # small, so that their sums stay in the cache: 8 RoIs of 7 x 7 bins and 256 channels take 400 kB.
    order = (grid[:, 1] * 65536.0 + grid[:, 0]).argsort()
    for chunk in torch.split(order, max(400 // (rows * columns), 1)):
        if chunk.size(0) > 0:
            pooled[chunk] = _pool(
                cells, (feature.size(1), feature.size(2)), output_size, starts[chunk], bins[chunk], grid[chunk]
            )
    return pooled.transpose(1, 2).reshape(rois.size(0), feature.size(0), rows, columns)


def _pool(
    cells: Tensor, size: tuple[int, int], output_size: tuple[int, int], starts: Tensor, bins: Tensor, grid: Tensor
) -> Tensor:
    """Add the samples of every bin in mmcv's order, and divide by their number.

    From (H * W, C) cells, and of each RoI its corner, the size of a bin in cells, and the samples per bin, x and y,
    (N, 2) float32 each, to (N, rows * columns, C).
    """
    total = cells.new_zeros(starts.size(0) * output_size[0] * output_size[1], cells.size(1))
    for y in range(int(grid[:, 1].max())):
        top, bottom, top_weight, bottom_weight = _taps(starts[:, 1], bins[:, 1], grid[:, 1], y, output_size[0], size[0])
        for x in range(int(grid[:, 0].max())):
            left, right, left_weight, right_weight = _taps(
                starts[:, 0], bins[:, 0], grid[:, 0], x, output_size[1], size[1]
            )
            # Not as a multiply-add, which would round once where mmcv rounds twice.
            sample = _weighted(cells, size[1], top, left, top_weight, left_weight)
            sample.add_(_weighted(cells, size[1], top, right, top_weight, right_weight))
            sample.add_(_weighted(cells, size[1], bottom, left, bottom_weight, left_weight))
            sample.add_(_weighted(cells, size[1], bottom, right, bottom_weight, right_weight))
            total.add_(sample)
    # An empty RoI has no samples; mmcv divides its zero by one.
    count = (grid[:, 0] * grid[:, 1]).clamp(min=1.0)[:, None, None]
    return total.view(starts.size(0), -1, cells.size(1)).div_(count)


def _weighted(
    cells: Tensor, width: int, row: Tensor, column: Tensor, row_weight: Tensor, column_weight: Tensor
) -> Tensor:
    """Return one corner of every sample, times its weight: (N * rows * columns, C) float32."""
    place = row[:, :, None] * width + column[:, None, :]
    weight = row_weight[:, :, None] * column_weight[:, None, :]
    return cells.index_select(0, place.view(-1)).mul_(weight.view(-1, 1))


def _taps(
    start: Tensor, bin_size: Tensor, grid: Tensor, sample: int, bins: int, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the position of one sample of every bin on one axis; start, bin size and grid are (N,), of this axis.

    It is the lower and the upper cell, (N, bins) int64, and their weights, (N, bins) float32, which are zero if the
    sample is outside of the map or the RoI has fewer samples.
    """
    # In the order of mmcv's expression.
    position = (
        start[:, None]
        + torch.arange(bins, device=start.device) * bin_size[:, None]
        + ((sample + 0.5) * bin_size / grid)[:, None]
    )
    used = (sample < grid)[:, None] & (position >= -1.0) & (position <= size)
    position = torch.where(used, position, torch.zeros_like(position)).clamp(min=0.0)
    low = position.to(torch.int64).clamp(max=size - 1)
    fraction = torch.where(low >= size - 1, torch.zeros_like(position), position - low)
    share = used.to(position.dtype)
    return low, (low + 1).clamp(max=size - 1), (1.0 - fraction) * share, fraction * share


def map_roi_levels(rois: Tensor, num_levels: int, finest_scale: float) -> Tensor:
    """Choose the pyramid level of each RoI by its size, (N,) int64 (`SingleRoIExtractor.map_roi_levels`).

    Args:
        rois: (N, 4) float32, xyxy, pixels of the network's input.
        num_levels: number of levels.
        finest_scale: RoIs of less than twice this size, pixels, have level 0.
    """
    scale = torch.sqrt((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1]))
    level = torch.floor(torch.log2(scale / finest_scale + 1e-6))
    return level.clamp(min=0, max=num_levels - 1).to(torch.int64)


class RoiPooling(nn.Module):
    """`SingleRoIExtractor.forward`: each RoI is pooled from the level of its size.

    Args:
        extractor: MMDetection's extractor with mmcv's RoIAlign.
        roi_scale: RoIs are scaled by it before they are pooled, but their level is that of the unscaled size.
    """

    def __init__(self, extractor: Any, roi_scale: float = 1.0) -> None:
        super().__init__()
        layer = extractor.roi_layers[0]
        self.scales = [float(level.spatial_scale) for level in extractor.roi_layers]
        self.finest_scale = float(extractor.finest_scale)
        self.roi_scale = roi_scale
        self.rows, self.columns = (int(size) for size in layer.output_size)
        self.sampling_ratio = int(layer.sampling_ratio)
        self.aligned = bool(layer.aligned)

    def forward(self, features: list[Tensor], rois: Tensor) -> Tensor:
        """Pool RoIs.

        Args:
            features: (1, C, h, w) float32 of each level.
            rois: (N, 4) float32, xyxy, pixels of the network's input.

        Returns:
            (N, C, rows, columns) float32.
        """
        pooled = features[0].new_zeros(rois.size(0), features[0].size(1), self.rows, self.columns)
        levels = map_roi_levels(rois, len(self.scales), self.finest_scale)
        rois = scale_rois(rois, self.roi_scale)
        for level, scale in enumerate(self.scales):
            chosen = torch.nonzero(levels == level).view(-1)
            if chosen.size(0) > 0:
                size = (self.rows, self.columns)
                pooled[chosen] = roi_align(
                    features[level][0], rois[chosen], size, scale, self.sampling_ratio, self.aligned
                )
        return pooled


def scale_rois(rois: Tensor, scale: float) -> Tensor:
    """Scale RoIs about their centres (`BaseRoIExtractor.roi_rescale`).

    Args:
        rois: (N, 4) float32, xyxy.
        scale: factor of width and height.
    """
    if scale == 1.0:
        return rois
    centres, sizes = (rois[:, :2] + rois[:, 2:]) * 0.5, (rois[:, 2:] - rois[:, :2]) * scale
    return torch.cat([centres - sizes * 0.5, centres + sizes * 0.5], dim=-1)
