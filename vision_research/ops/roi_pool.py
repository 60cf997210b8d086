"""RoIPool: the maximum of all cells that each bin of a RoI touches. mmcv has it for GPUs alone.

Girshick, Fast R-CNN, ICCV 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_pool(
    features: Tensor, rois: Tensor, images: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> tuple[Tensor, Tensor]:
    """Pool each RoI into a fixed grid.

    Args:
        features: (B, C, H, W).
        rois: (N, 4) xyxy, pixels of the network's input.
        images: (N,) int64, the index of each RoI's image in the batch.
        output_size: bins (rows, columns).
        spatial_scale: feature cells per input pixel.

    Returns:
        (N, C, rows, columns) maxima, zero for an empty bin; and the int64 index of each one's cell in its map, -1 for
        an empty bin.
    """
    height, width = features.shape[2:]
    # As in mmcv's kernel, the last pixel belongs to the RoI.
    corners = torch.cat([rois[:, :2], rois[:, 2:] + 1], 1) * spatial_scale
    rows = _edges(corners[:, 1], corners[:, 3], output_size[0], height)
    columns = _edges(corners[:, 0], corners[:, 2], output_size[1], width)
    values = features.new_zeros(rois.size(0), features.size(1), *output_size)
    places = torch.full_like(values, -1, dtype=torch.int64)
    for index, image in enumerate(images.tolist()):
        for row, (top, bottom) in enumerate(rows[index].tolist()):
            for column, (left, right) in enumerate(columns[index].tolist()):
                if bottom > top and right > left:
                    found, place = features[image, :, top:bottom, left:right].flatten(1).max(1)
                    span = right - left
                    values[index, :, row, column] = found
                    places[index, :, row, column] = (top + place // span) * width + left + place % span
    return values, places


def roi_pool_backward(grad: Tensor, images: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the derivative of `roi_pool` by its feature maps.

    Args:
        grad: (N, C, rows, columns), the derivative by what `roi_pool` returned.
        images: argument of `roi_pool`.
        places: what `roi_pool` returned.
        shape: (B, C, H, W) of the feature maps.
    """
    by_feature = grad.new_zeros(shape).flatten(2)
    share = torch.where(places >= 0, grad, torch.zeros_like(grad)).flatten(2)
    index = images[:, None, None] * shape[1] + torch.arange(shape[1], device=grad.device)[:, None]
    index = index * by_feature.size(2) + places.clamp(min=0).flatten(2)
    by_feature.view(-1).index_add_(0, index.reshape(-1), share.reshape(-1))
    return by_feature.view(shape)


def _edges(start: Tensor, stop: Tensor, bins: int, size: int) -> Tensor:
    """Return the first cell of each bin and the one behind its last, within the map: (N, bins, 2) int64."""
    size_of_bin = ((stop - start) / bins)[:, None]
    index = torch.arange(bins, device=start.device)
    first = torch.floor(index * size_of_bin + start[:, None])
    behind = torch.ceil((index + 1) * size_of_bin + start[:, None])
    return torch.stack([first, behind], 2).clamp(0, size).to(torch.int64)
