"""Deformable convolutions, with the arguments of mmcv's extension."""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.ops.deform_conv import Geometry, as_output, deform_conv2d, deform_conv2d_backward
from vision_research.ops.kernels import torchvision_kernels
from vision_research.ops.mmcv_ext.registry import operator


@operator()
def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the convolution into `output`."""
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    _convolve(input, offset, None, weight, output, geometry)


@operator()
def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the derivatives by the map and by the offsets."""
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    by_input, by_offset, _, _ = _differentiate(gradOutput, input, offset, weight, None, geometry)
    gradInput.copy_(by_input)
    gradOffset.copy_(by_offset)


@operator()
def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add the derivative by the weights, times `scale`."""
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    by_weight = _differentiate(gradOutput, input, offset, gradWeight, None, geometry)[2]
    gradWeight.add_(by_weight, alpha=scale)


@operator()
def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the convolution into `output`."""
    kernel, stride = (kernel_h, kernel_w), (stride_h, stride_w)
    geometry = Geometry(kernel, stride, (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group)
    _convolve(input, offset, mask, weight, output, geometry)
    if with_bias:
        output.add_(bias[:, None, None])


@operator()
def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write all derivatives."""
    kernel, stride = (kernel_h, kernel_w), (stride_h, stride_w)
    geometry = Geometry(kernel, stride, (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group)
    found = _differentiate(grad_output, input, offset, weight, mask, geometry)
    for target, grad in zip((grad_input, grad_offset, grad_weight, grad_mask), found, strict=True):
        assert grad is not None
        target.copy_(grad)
    if with_bias:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))


def _convolve(
    input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, output: Tensor, geometry: Geometry
) -> None:
    if (kernels := torchvision_kernels(input)) is not None:
        arguments = _for_torchvision(input, offset, mask, weight, geometry)
        output.copy_(kernels.deform_conv2d(*arguments, *_numbers(geometry, mask)))
        return
    for chosen in geometry.chunks(input):
        factors = None if mask is None else mask[chosen]
        output[chosen] = deform_conv2d(input[chosen], offset[chosen], weight, None, factors, geometry)


def _differentiate(
    grad: Tensor, input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The derivatives by the map, the offsets, the weights and the mask."""
    kernels = torchvision_kernels(input)
    if kernels is None:
        return deform_conv2d_backward(grad, input, offset, weight, mask, geometry)
    arguments = _for_torchvision(input, offset, mask, weight, geometry)
    found = kernels._deform_conv2d_backward(grad, *arguments, *_numbers(geometry, mask))
    by_mask = None if mask is None else _as_argument(found[3], mask)
    return found[0], _as_argument(found[2], offset), found[1], by_mask


def _for_torchvision(
    input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    size = geometry.output_size(input)
    factors = input.new_zeros(input.size(0), 1) if mask is None else as_output(mask, *size)
    return input, weight, as_output(offset, *size), factors, input.new_zeros(weight.size(0))


def _numbers(geometry: Geometry, mask: Tensor | None) -> tuple[int | bool, ...]:
    places = (*geometry.stride, *geometry.padding, *geometry.dilation)
    return (*places, geometry.groups, geometry.deform_groups, mask is not None)


def _as_argument(grad: Tensor, argument: Tensor) -> Tensor:
    """The reverse of `as_output`: what was not read has no derivative."""
    if grad.shape == argument.shape:
        return grad
    unread = argument[0].numel() - grad[0].numel()
    return torch.nn.functional.pad(grad.flatten(1), (0, unread)).view_as(argument)
