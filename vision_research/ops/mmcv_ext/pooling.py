"""Pooling of RoIs, with the arguments of mmcv's extension. A RoI is a row of five: its image, and xyxy."""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.ops.deform_roi_pool import deform_roi_pool
from vision_research.ops.kernels import torchvision_kernels
from vision_research.ops.mmcv_ext.registry import operator
from vision_research.ops.precision import widened
from vision_research.ops.roi_align import roi_align
from vision_research.ops.roi_align import roi_align_backward as plain_backward
from vision_research.ops.roi_pool import roi_pool
from vision_research.ops.roi_pool import roi_pool_backward as plain_roi_pool_backward


@operator("output", "argmax_y", "argmax_x")
def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the means of the bins into `output`, (N, C, aligned_height, aligned_width)."""
    _check_mode(pool_mode)
    size = (aligned_height, aligned_width)
    if (kernels := torchvision_kernels(input)) is not None:
        output.copy_(kernels.roi_align(input, rois.to(input.dtype), spatial_scale, *size, sampling_ratio, aligned))
        return
    boxes, images = _split(rois)
    output.copy_(roi_align(widened(input), boxes, images, size, spatial_scale, sampling_ratio, aligned))


@operator("grad_input")
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the derivative by the feature maps into `grad_input`."""
    _check_mode(pool_mode)
    shape = (grad_input.size(0), grad_input.size(1), grad_input.size(2), grad_input.size(3))
    if (kernels := torchvision_kernels(grad_output)) is not None:
        sizes = (aligned_height, aligned_width, *shape)
        rois = rois.to(grad_output.dtype)
        grad_input.copy_(kernels._roi_align_backward(grad_output, rois, spatial_scale, *sizes, sampling_ratio, aligned))
        return
    boxes, images = _split(rois)
    grad_input.copy_(plain_backward(widened(grad_output), boxes, images, shape, spatial_scale, sampling_ratio, aligned))


@operator("output", "argmax")
def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the maxima of the bins into `output`, and their cells into `argmax`, -1 for an empty bin."""
    boxes, images = _split(rois)
    values, places = roi_pool(input, boxes, images, (pooled_height, pooled_width), spatial_scale)
    output.copy_(values)
    argmax.copy_(places)


@operator("grad_input")
def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the derivative by the feature maps into `grad_input`."""
    images = _split(rois)[1]
    grad_input.copy_(plain_roi_pool_backward(grad_output, images, argmax.to(torch.int64), tuple(grad_input.shape)))


@operator()
def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Write the means of the moved bins into `output`; an empty `offset` moves none."""
    boxes, images = _split(rois)
    moves = offset if offset.numel() else None
    size = (pooled_height, pooled_width)
    output.copy_(deform_roi_pool(input, boxes, images, moves, size, spatial_scale, sampling_ratio, gamma))


@operator()
def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Write the derivatives by the feature maps and by the offsets."""
    boxes, images = _split(rois)
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in (input, offset) if value.numel()]
        moves, size = leaves[1] if len(leaves) > 1 else None, (pooled_height, pooled_width)
        pooled = deform_roi_pool(leaves[0], boxes, images, moves, size, spatial_scale, sampling_ratio, gamma)
    found = torch.autograd.grad(pooled, leaves, grad_output)
    for target, grad in zip((grad_input, grad_offset), found, strict=False):
        target.copy_(grad)


def _split(rois: Tensor) -> tuple[Tensor, Tensor]:
    """Part (N, 5) into boxes, in at least float32, and the indices of their images."""
    return widened(rois[:, 1:]), rois[:, 0].to(torch.int64)


def _check_mode(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' has no version in plain torch, and no detector of MMDetection uses it: type "
            "pool_mode=avg, or ops=compiled with mmcv's compiled operators"
        )
