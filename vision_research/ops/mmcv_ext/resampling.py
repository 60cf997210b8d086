"""Masked convolutions and CARAFE, with the arguments of mmcv's extension."""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.ops import carafe as plain
from vision_research.ops.masked_conv import masked_columns
from vision_research.ops.mmcv_ext.registry import operator


@operator("col")
def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Write what the kernel covers at each position into `col`."""
    col.copy_(masked_columns(im, mask_h_idx, mask_w_idx, (kernel_h, kernel_w), (pad_h, pad_w)))


@operator("im")
def masked_col2im_forward(
    col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int, channels: int
) -> None:
    """Write the (channels, positions) results to their positions."""
    im[0, :, mask_h_idx, mask_w_idx] = col


@operator()
def carafe_naive_forward(
    features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> None:
    """Write the enlarged map into `output`."""
    output.copy_(plain.carafe(features, masks, kernel_size, group_size, scale_factor))


@operator()
def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the derivatives by the map and by the masks."""
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in (features, masks)]
        output = plain.carafe(leaves[0], leaves[1], kernel_size, group_size, scale_factor)
    found = torch.autograd.grad(output, leaves, top_grad)
    bottom_grad.copy_(found[0])
    mask_grad.copy_(found[1])


@operator()
def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the enlarged map into `output`; the buffers of the kernel for GPUs stay, but for what backward reads."""
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


@operator()
def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the derivatives by the map and by the masks."""
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size, group_size, scale_factor)
