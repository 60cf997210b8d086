"""The resize of `ops/resize.py` for exported graphs, in which sizes are values and no branch depends on a size.

It gives the same grey levels. It computes with whole float32 numbers below 2**24, which are exact, because some
runtimes have neither shifts of signed integers nor doubles. For OpenCV's special cases (an exact halving, no resize at
all) the general computation gives the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resize_onto_canvas(images: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """Resize as `resize_bilinear`, into the upper left corner of a canvas.

    Args:
        images: (B, H, W, C) uint8.
        height: () int64, rows of the resized image.
        width: () int64, columns of the resized image.
        rows: rows of the canvas, at least `height`.
        columns: columns of the canvas, at least `width`.

    Returns:
        (B, C, rows, columns) float32 grey levels; those outside of the resized image are undefined.
    """
    channels = images.permute(0, 3, 1, 2)
    left, right, fraction = _taps(images.shape[2], width, columns)
    # Columns outside of the image have no neighbour to mix with. Rows keep their weights: both rows are the same then.
    fraction = torch.where(left.eq(right), torch.zeros_like(fraction), fraction)
    left_weight, right_weight = _weights(fraction)
    mixed = channels[..., left].float() * left_weight + channels[..., right].float() * right_weight
    mixed = torch.floor(mixed * (1 / 16))
    top, bottom, fraction = _taps(images.shape[1], height, rows)
    top_weight, bottom_weight = _weights(fraction)
    levels = _scale_row(mixed[:, :, top], top_weight[:, None]) + _scale_row(mixed[:, :, bottom], bottom_weight[:, None])
    return torch.floor((levels + 2.0) * 0.25)


def resize_floats_onto_canvas(images: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """Resize as `resize_floats`, except for the last bit of a float, into the upper left corner of a canvas.

    Args:
        images: as for `resize_onto_canvas`, whose result this one is like.
        height: as for `resize_onto_canvas`.
        width: as for `resize_onto_canvas`.
        rows: as for `resize_onto_canvas`.
        columns: as for `resize_onto_canvas`.
    """
    channels = images.permute(0, 3, 1, 2)
    left, right, across = _taps(images.shape[2], width, columns)
    mixed = _interpolate(channels[..., left].float(), channels[..., right].float(), across)
    top, bottom, down = _taps(images.shape[1], height, rows)
    return _interpolate(mixed[:, :, top], mixed[:, :, bottom], down[:, None])


def _interpolate(low: Tensor, high: Tensor, fraction: Tensor) -> Tensor:
    return low + fraction * (high - low)


def _taps(source: int, target: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two source cells of each target cell, and the weight of the second one, (count,) each.

    Cells after the last target cell repeat it.
    """
    cells = torch.minimum(torch.arange(count), target - 1)
    # (cell + 0.5) * source / target - 0.5 as one fraction of exact numbers, so that it is rounded once.
    position = ((2 * cells + 1) * source - target).float() / (2 * target).float()
    low = torch.floor(position)
    fraction = position - low
    below = low.to(torch.int64)
    return below.clamp(min=0).clamp(max=source - 1), (below + 1).clamp(max=source - 1), fraction


def _weights(fraction: Tensor) -> tuple[Tensor, Tensor]:
    return torch.round((1.0 - fraction) * 2048.0), torch.round(fraction * 2048.0)


def _scale_row(mixed: Tensor, weight: Tensor) -> Tensor:
    """Return `(mixed * weight) >> 16`, computed in two parts because the product may have 27 bits."""
    high = torch.floor(mixed * (1 / 16))
    low = mixed - high * 16.0
    return torch.floor((high * weight + torch.floor(low * weight * (1 / 16))) * (1 / 4096))
