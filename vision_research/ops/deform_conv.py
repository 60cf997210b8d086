"""Deformable convolution in plain torch: it samples columns and multiplies them with the kernel.

A sample is a weighted sum of four cells of the map, which is what `torch.nn.functional.embedding_bag` computes: in one
pass forward, and in one for each derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vision_research.ops.precision import widened

# Columns of so many numbers are made at once: 64 MB in float32. A batch of large maps would take gigabytes.
MOST_NUMBERS = 2**24


@dataclass(frozen=True)
class Geometry:
    """Where a convolution reads.

    Attributes:
        kernel: rows and columns of taps.
        stride: cells from one output to the next (down, right).
        padding: cells added around the map.
        dilation: cells from one tap to the next.
        groups: number of groups of channels that are convolved separately.
        deform_groups: number of groups of channels that have their own offsets.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    deform_groups: int = 1

    @property
    def num_taps(self) -> int:
        """Number of cells of the kernel."""
        return self.kernel[0] * self.kernel[1]

    def output_size(self, feature: Tensor) -> tuple[int, int]:
        """Height and width of what the convolution of (B, C, H, W) gives."""
        return self._length(0, feature.size(2)), self._length(1, feature.size(3))

    def _length(self, axis: int, length: int) -> int:
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (length + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    def chunks(self, feature: Tensor) -> list[slice]:
        """Part the images of a batch into those whose columns are made at once."""
        height, width = self.output_size(feature)
        count = max(MOST_NUMBERS // max(height * width * self.num_taps * feature.size(1), 1), 1)
        return [slice(start, start + count) for start in range(0, feature.size(0), count)]


def deform_conv2d(
    feature: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    """Convolve with samples at an offset from their positions in the kernel.

    Dai et al., Deformable Convolutional Networks, ICCV 2017; with a mask Zhu et al., Deformable ConvNets v2, CVPR 2019.

    Args:
        feature: (B, C, H, W).
        offset: (B, deform_groups * taps * 2, h, w): down and right of each tap, cells.
        weight: (O, C / groups, rows, columns) with rows * columns taps.
        bias: (O,).
        mask: (B, deform_groups * taps, h, w), a factor of each sample.
        geometry: where it reads.

    Returns:
        (B, O, h, w).
    """
    height, width = geometry.output_size(feature)
    columns = _columns(feature, offset, mask, geometry)
    # (h * w, taps, channels) of each group, against kernels that are laid out alike.
    parts = columns.reshape(-1, geometry.num_taps, feature.size(1)).chunk(geometry.groups, 2)
    kernels = weight.permute(2, 3, 1, 0).reshape(-1, weight.size(1), weight.size(0)).chunk(geometry.groups, 2)
    products = [part.flatten(1) @ kernel.flatten(0, 1) for part, kernel in zip(parts, kernels, strict=True)]
    output = torch.cat(products, 1) if len(products) > 1 else products[0]
    if bias is not None:
        output = output + bias
    return output.view(feature.size(0), height, width, -1).permute(0, 3, 1, 2)


def deform_conv2d_backward(
    grad: Tensor, feature: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the derivatives of `deform_conv2d`, a few images at a time.

    Args:
        grad: (B, O, h, w), the derivative by what `deform_conv2d` returned.
        feature: argument of `deform_conv2d`.
        offset: argument of `deform_conv2d`.
        weight: argument of `deform_conv2d`.
        mask: argument of `deform_conv2d`.
        geometry: argument of `deform_conv2d`.

    Returns:
        The derivatives by feature, offset, weight and mask, each of the argument's shape.
    """
    by_weight, parts = torch.zeros_like(weight), []
    for chosen in geometry.chunks(feature):
        inputs = [feature[chosen], offset[chosen], weight, *([] if mask is None else [mask[chosen]])]
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in inputs]
            factors = None if mask is None else leaves[3]
            output = deform_conv2d(leaves[0], leaves[1], leaves[2], None, factors, geometry)
        found = torch.autograd.grad(output, leaves, grad[chosen])
        by_weight += found[2]
        parts.append(found)
    by_feature, by_offset = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return by_feature, by_offset, by_weight, None if mask is None else torch.cat([part[3] for part in parts])


def _columns(feature: Tensor, offset: Tensor, mask: Tensor | None, geometry: Geometry) -> Tensor:
    """Sample what each tap of each output reads: (B * h * w * taps * deform_groups, C / deform_groups)."""
    batch, channels, rows, columns = feature.shape
    height, width = geometry.output_size(feature)
    groups, taps = geometry.deform_groups, geometry.num_taps
    # (B, h, w, taps, groups) of each, in the order of the columns. In bfloat16, positions from 256 on would be rounded.
    moves = widened(as_output(offset, height, width))
    moves = moves.view(batch, groups, taps, 2, height, width).permute(3, 0, 4, 5, 2, 1)
    y = moves[0] + _lattice(geometry, 0, height, moves)[None, :, None, :, None]
    x = moves[1] + _lattice(geometry, 1, width, moves)[None, None, :, :, None]
    factor = ((y > -1) & (x > -1) & (y < rows) & (x < columns)).to(y.dtype)
    if mask is not None:
        factors = as_output(mask, height, width).view(batch, groups, taps, height, width)
        factor = factor * factors.permute(0, 3, 4, 2, 1)
    top, left = y.detach().floor(), x.detach().floor()
    below, beside = y - top, x - left
    # A row of the table is the cell of one image in one group of channels.
    table = feature.permute(0, 2, 3, 1).reshape(-1, channels // groups)
    image = torch.arange(batch, device=feature.device)[:, None, None, None, None] * (rows * columns)
    group = torch.arange(groups, device=feature.device)
    cells, weights = [], []
    for row, row_weight in ((top, (1 - below) * factor), (top + 1, below * factor)):
        for column, column_weight in ((left, 1 - beside), (left + 1, beside)):
            is_inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            cell = row.clamp(0, rows - 1).to(torch.int64) * columns + column.clamp(0, columns - 1).to(torch.int64)
            cells.append(((image + cell) * groups + group).reshape(-1))
            weights.append((row_weight * column_weight * is_inside).reshape(-1))
    if torch.compiler.is_exporting():
        # ONNX and OpenVINO have no such operator.
        return sum(table[cell] * weight[:, None] for cell, weight in zip(cells, weights, strict=True))  # type: ignore[return-value]
    index, weight = torch.stack(cells, 1), torch.stack(weights, 1).to(table.dtype)
    return F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")


def _lattice(geometry: Geometry, axis: int, length: int, like: Tensor) -> Tensor:
    """Return where the taps lie without offsets on one axis, cells: (length, taps)."""
    tap = torch.arange(geometry.num_taps, device=like.device)
    step = tap // geometry.kernel[1] if axis == 0 else tap % geometry.kernel[1]
    start = torch.arange(length, device=like.device) * geometry.stride[axis] - geometry.padding[axis]
    return (start[:, None] + step * geometry.dilation[axis]).to(like.dtype)


def as_output(values: Tensor, height: int, width: int) -> Tensor:
    """Read values as mmcv's kernel does, as if they had the output's size: those of DyHead belong to a larger map.

    Args:
        values: (B, K, H, W) with at least the output's number of cells.
        height: of the output.
        width: of the output.
    """
    read = values.flatten(1)[:, : values.size(1) * height * width]
    return read.reshape(values.size(0), values.size(1), height, width)
