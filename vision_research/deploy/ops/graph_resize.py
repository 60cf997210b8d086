"""The resize of `ops/resize.py` for exported graphs: no branch on a size, and sizes that are values of the graph.

Gives the same grey levels. Works in float32 numbers that are whole and below 2**24, hence exact, since some runtimes
have neither shifts of signed integers nor doubles. OpenCV's special cases (an exact halving, no resize at all) come out
of the general one by themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resize_onto_canvas(images: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """Resize as `resize_bilinear(image, height, width)`, into the upper left corner of a canvas.

    Args:
        images: (B, H, W, C) uint8.
        height: () int64, rows of the resized image.
        width: () int64, columns of the resized image.
        rows: of the canvas, at least `height`.
        columns: of the canvas, at least `width`.

    Returns:
        (B, C, rows, columns) float32 grey levels; beyond the resized image they mean nothing.
    """
    channels = images.permute(0, 3, 1, 2)
    left, right, fraction = _taps(images.shape[2], width, columns)
    # Columns outside of the image lose their share of a neighbour; rows keep it, as both are the same one then.
    fraction = torch.where(left.eq(right), torch.zeros_like(fraction), fraction)
    left_weight, right_weight = _weights(fraction)
    mixed = channels[..., left].float() * left_weight + channels[..., right].float() * right_weight
    mixed = torch.floor(mixed * (1 / 16))
    top, bottom, fraction = _taps(images.shape[1], height, rows)
    top_weight, bottom_weight = _weights(fraction)
    levels = _scale_row(mixed[:, :, top], top_weight[:, None]) + _scale_row(mixed[:, :, bottom], bottom_weight[:, None])
    return torch.floor((levels + 2.0) * 0.25)


def resize_floats_onto_canvas(images: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """Resize as `resize_floats`, but for the last bit of a float; otherwise as `resize_onto_canvas`."""
    channels = images.permute(0, 3, 1, 2)
    left, right, across = _taps(images.shape[2], width, columns)
    mixed = _interpolate(channels[..., left].float(), channels[..., right].float(), across)
    top, bottom, down = _taps(images.shape[1], height, rows)
    return _interpolate(mixed[:, :, top], mixed[:, :, bottom], down[:, None])


def _interpolate(low: Tensor, high: Tensor, fraction: Tensor) -> Tensor:
    return low + fraction * (high - low)


def _taps(source: int, target: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two source cells of each target cell, and the share of the second.

    Args:
        source: cells of the source.
        target: () int64, cells of the target.
        count: how many target cells to look up; those past the last are clamped to it.

    Returns:
        (count,) int64 twice and (count,) float32.
    """
    cells = torch.minimum(torch.arange(count), target - 1)
    # (cell + 0.5) * source / target - 0.5 over one denominator: both are exact, so the quotient is rounded once.
    position = ((2 * cells + 1) * source - target).float() / (2 * target).float()
    low = torch.floor(position)
    fraction = position - low
    below = low.to(torch.int64)
    return below.clamp(min=0).clamp(max=source - 1), (below + 1).clamp(max=source - 1), fraction


def _weights(fraction: Tensor) -> tuple[Tensor, Tensor]:
    return torch.round((1.0 - fraction) * 2048.0), torch.round(fraction * 2048.0)


def _scale_row(mixed: Tensor, weight: Tensor) -> Tensor:
    """`(mixed * weight) >> 16`, in two parts since the product may have 27 bits."""
    high = torch.floor(mixed * (1 / 16))
    low = mixed - high * 16.0
    return torch.floor((high * weight + torch.floor(low * weight * (1 / 16))) * (1 / 4096))
