"""Deformable convolution in plain torch, with the arithmetic of mmcv's CPU kernel: it samples columns and multiplies.

Written for `torch.jit.script`, because a trace would unroll the loop over the taps, and a graph of a hundred thousand
nodes takes minutes to optimise.
"""

from __future__ import annotations

import torch
from torch import Tensor


def deform_conv2d(
    feature: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Convolve with samples at an offset from their positions in the kernel.

    Args:
        feature: (B, C, H, W) float32.
        offset: (B, deform_groups * taps * 2, h, w) float32: down and right of each tap, cells.
        weight: (O, C / groups, rows, columns) float32 with rows * columns taps.
        bias: (O,) float32.
        mask: (B, deform_groups * taps, h, w) float32, a factor of each sample.
        stride: cells from one output to the next (rows, columns).
        padding: cells added around the map.
        dilation: cells from one tap to the next.
        groups: number of groups of channels that are convolved separately.
        deform_groups: number of groups of channels that have their own offsets.

    Returns:
        (B, O, h, w) float32.
    """
    columns = weight.size(3)
    taps = weight.size(2) * columns
    batch = feature.size(0)
    height = (feature.size(2) + 2 * padding[0] - dilation[0] * (weight.size(2) - 1) - 1) // stride[0] + 1
    width = (feature.size(3) + 2 * padding[1] - dilation[1] * (columns - 1) - 1) // stride[1] + 1
    offset = _as_output(offset, height, width)
    mask = None if mask is None else _as_output(mask, height, width)
    # (deform_groups, taps, 2, places), with the places of all images in a row.
    offset = offset.reshape(batch, deform_groups, taps, 2, -1).permute(1, 2, 3, 0, 4)
    offset = offset.reshape(deform_groups, taps, 2, -1)
    places = _places(batch, height, width, stride, padding, feature.device)
    parts: list[Tensor] = []
    for group, cells in enumerate(feature.permute(0, 2, 3, 1).chunk(deform_groups, dim=3)):
        factors = None if mask is None else mask[:, group * taps : (group + 1) * taps]
        parts.append(_sample_taps(cells, offset[group], factors, places, columns, dilation))
    matrix = torch.cat(parts).reshape(groups, feature.size(1) // groups * taps, -1)
    kernels = weight.reshape(groups, weight.size(0) // groups, -1)
    output = torch.cat([kernels[group].mm(matrix[group]) for group in range(groups)])
    if bias is not None:
        output = output + bias[:, None]
    return output.reshape(-1, batch, height, width).transpose(0, 1)


def _sample_taps(
    cells: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    places: tuple[Tensor, Tensor, Tensor],
    columns: int,
    dilation: tuple[int, int],
) -> Tensor:
    """Sample all taps of a group of channels: (channels, taps, places) float32, in the order of the weight."""
    down, right, image = places
    sampled: list[Tensor] = []
    for tap in range(offset.size(0)):
        y = down + tap // columns * dilation[0] + offset[tap, 0]
        x = right + tap % columns * dilation[1] + offset[tap, 1]
        values = _sample(cells, image, y, x)
        if mask is not None:
            values = values * mask[:, tap].reshape(-1, 1)
        sampled.append(values.t())
    return torch.stack(sampled, dim=1)


def _as_output(values: Tensor, height: int, width: int) -> Tensor:
    """Read values as mmcv's kernel does, as if they had the output's size: those of DyHead belong to a larger map."""
    read = values.flatten(1)[:, : values.size(1) * height * width]
    return read.reshape(values.size(0), values.size(1), height, width)


def _places(
    batch: int, height: int, width: int, stride: tuple[int, int], padding: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the row, the column and the image of every output, each (batch * height * width,) int64."""
    shape = (batch, height, width)
    down = torch.arange(height, device=device) * stride[0] - padding[0]
    right = torch.arange(width, device=device) * stride[1] - padding[1]
    image = torch.arange(batch, device=device)
    return (
        down[None, :, None].expand(shape).reshape(-1),
        right[None, None, :].expand(shape).reshape(-1),
        image[:, None, None].expand(shape).reshape(-1),
    )


def _sample(cells: Tensor, image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample (B, H, W, C) cells bilinearly at (P,) images, rows and columns: (P, C); zero outside of the map."""
    inside = (y > -1) & (x > -1) & (y < cells.size(1)) & (x < cells.size(2))
    top, left = y.floor(), x.floor()
    below, beside = y - top, x - left
    above, before = 1 - below, 1 - beside
    return (
        _corner(cells, image, top, left, above * before, inside)
        + _corner(cells, image, top, left + 1, above * beside, inside)
        + _corner(cells, image, top + 1, left, below * before, inside)
        + _corner(cells, image, top + 1, left + 1, below * beside, inside)
    )


def _corner(cells: Tensor, image: Tensor, row: Tensor, column: Tensor, share: Tensor, inside: Tensor) -> Tensor:
    height, width = cells.size(1), cells.size(2)
    inside = inside & (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    # Places outside are clamped, because they cannot be read, and have a weight of zero.
    place = row.clamp(0, height - 1).to(torch.int64) * width + column.clamp(0, width - 1).to(torch.int64)
    values = cells.reshape(-1, cells.size(3)).index_select(0, image * (height * width) + place)
    return values * torch.where(inside, share, torch.zeros_like(share))[:, None]
