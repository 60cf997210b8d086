"""RoIAlign in plain torch, equal to mmcv's CPU kernel to the last bit, and its derivative.

It adds the samples of a bin one after another, in mmcv's order. A product with one matrix per axis is up to twice as
fast but rounds differently, and a difference of 1e-7 is enough to change a suppression or the order of a tie, so that
a correct export might fail its verification. Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(
    features: Tensor,
    rois: Tensor,
    images: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Average-pool each RoI into a fixed grid, as `mmcv.ops.RoIAlign` with `pool_mode='avg'`.

    The method is that of He et al., Mask R-CNN, ICCV 2017.

    Args:
        features: (B, C, H, W) float32 or float64 feature maps.
        rois: (N, 4) of the same dtype, xyxy, pixels of the network's input.
        images: (N,) int64, the index of each RoI's image in the batch.
        output_size: bins (rows, columns).
        spatial_scale: feature cells per input pixel.
        sampling_ratio: samples per bin and axis; 0 takes as many as the bin has cells (rounded up).
        aligned: whether the coordinates are shifted by half a cell.

    Returns:
        (N, C, rows, columns) of the same dtype.
    """
    rows, columns = output_size
    channels, size = features.size(1), (features.size(2), features.size(3))
    starts, bins, grid = _bins(rois, output_size, spatial_scale, sampling_ratio, aligned)
    # Contiguous, so that the channels of a cell are next to each other in memory.
    cells = features.permute(0, 2, 3, 1).contiguous().view(-1, channels)
    pooled = features.new_zeros(rois.size(0), rows * columns, channels)
    for chunk in _chunks(grid, output_size):
        total = cells.new_zeros(chunk.size(0) * rows * columns, channels)
        samples, (most_x, most_y) = grid[chunk], _most(grid[chunk])
        for y in range(most_y):
            down = _taps(starts[chunk, 1], bins[chunk, 1], samples[:, 1], y, rows, size[0])
            for x in range(most_x):
                right = _taps(starts[chunk, 0], bins[chunk, 0], samples[:, 0], x, columns, size[1])
                # In place, and not as a multiply-add, which would round once where mmcv rounds twice.
                sample = torch.zeros(0)
                for corner in range(4):
                    place, weight = _corner(images[chunk], size, down, right, corner)
                    value = cells.index_select(0, place).mul_(weight)
                    sample = value if corner == 0 else sample.add_(value)
                total.add_(sample)
        pooled[chunk] = total.view(chunk.size(0), -1, channels).div_(_count(samples))
    return pooled.transpose(1, 2).reshape(rois.size(0), channels, rows, columns)


def roi_align_backward(
    grad: Tensor,
    rois: Tensor,
    images: Tensor,
    shape: tuple[int, int, int, int],
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Return the derivative of `roi_align` by its feature maps.

    Args:
        grad: (N, C, rows, columns) float32 or float64, the derivative by what `roi_align` returned.
        rois: argument of `roi_align`.
        images: argument of `roi_align`.
        shape: (B, C, H, W) of the feature maps.
        spatial_scale: argument of `roi_align`.
        sampling_ratio: argument of `roi_align`.
        aligned: argument of `roi_align`.

    Returns:
        (B, C, H, W) of the dtype of `grad`.
    """
    output_size, size = (grad.size(2), grad.size(3)), (shape[2], shape[3])
    starts, bins, grid = _bins(rois, output_size, spatial_scale, sampling_ratio, aligned)
    grads = grad.flatten(2).transpose(1, 2)
    cells = grad.new_zeros(shape[0] * size[0] * size[1], shape[1])
    for chunk in _chunks(grid, output_size):
        samples, (most_x, most_y) = grid[chunk], _most(grid[chunk])
        share = (grads[chunk] / _count(samples)).reshape(-1, shape[1])
        for y in range(most_y):
            down = _taps(starts[chunk, 1], bins[chunk, 1], samples[:, 1], y, output_size[0], size[0])
            for x in range(most_x):
                right = _taps(starts[chunk, 0], bins[chunk, 0], samples[:, 0], x, output_size[1], size[1])
                for corner in range(4):
                    place, weight = _corner(images[chunk], size, down, right, corner)
                    # With an expanded index this is one vectorised pass; index_add_ takes a row at a time.
                    cells.scatter_add_(0, place[:, None].expand_as(share), share * weight)
    return cells.view(shape[0], size[0], size[1], shape[1]).permute(0, 3, 1, 2)


def _bins(
    rois: Tensor, output_size: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return x and y of each RoI's corner and of the size of its bins, cells, and its samples per bin: (N, 2) each."""
    shift = 0.5 if aligned else 0.0
    starts = rois[:, :2] * spatial_scale - shift
    extents = rois[:, 2:] * spatial_scale - shift - starts
    if not aligned:
        extents = extents.clamp(min=1.0)
    bins = torch.stack([extents[:, 0] / output_size[1], extents[:, 1] / output_size[0]], dim=1)
    grid = torch.ceil(bins) if sampling_ratio <= 0 else torch.full_like(bins, float(sampling_ratio))
    return starts, bins, grid


def _chunks(grid: Tensor, output_size: tuple[int, int]) -> list[Tensor]:
    """Part RoIs into chunks with equal sampling grids, so that none is computed for more samples than it has.

    Chunks are small, so that their sums stay in the cache of a processor: 8 RoIs of 7 x 7 bins and 256 channels take
    400 kB. A GPU takes many at once.
    """
    if grid.size(0) == 0:
        return []
    order = (grid[:, 1] * 65536.0 + grid[:, 0]).argsort()
    bins = 400000 if grid.is_cuda else 400
    return list(torch.split(order, max(bins // (output_size[0] * output_size[1]), 1)))


def _most(grid: Tensor) -> tuple[int, int]:
    """Return the most samples that a bin has along x and y."""
    return int(grid[:, 0].max()), int(grid[:, 1].max())


def _count(grid: Tensor) -> Tensor:
    """Return how many samples a bin has, (N, 1, 1). An empty RoI has none; mmcv divides its zero by one."""
    return (grid[:, 0] * grid[:, 1]).clamp(min=1.0)[:, None, None]


def _corner(
    images: Tensor,
    size: tuple[int, int],
    down: tuple[Tensor, Tensor, Tensor, Tensor],
    right: tuple[Tensor, Tensor, Tensor, Tensor],
    corner: int,
) -> tuple[Tensor, Tensor]:
    """Return one of the four cells around a sample of every bin, and its weight.

    Args:
        images: (N,) int64.
        size: H and W of the feature map.
        down: what `_taps` returned for the rows.
        right: what `_taps` returned for the columns.
        corner: 0 to 3, in mmcv's order: first the two cells of the upper row.

    Returns:
        (N * rows * columns,) int64 index of the cell among those of all images, and (N * rows * columns, 1) weights.
    """
    row, row_weight = (down[0], down[2]) if corner < 2 else (down[1], down[3])
    column, column_weight = (right[0], right[2]) if corner % 2 == 0 else (right[1], right[3])
    first = (images[:, None] * size[0] + row) * size[1]
    place = first[:, :, None] + column[:, None, :]
    weight = row_weight[:, :, None] * column_weight[:, None, :]
    return place.view(-1), weight.view(-1, 1)


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
