"""Multi-scale deformable attention, with the arguments of mmcv's extension.

On a CPU mmcv calls its own version in plain torch, which is taken here for GPUs too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.ops.mmcv_ext.registry import operator


@operator()
def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_loc: Tensor,
    attn_weight: Tensor,
    im2col_step: int,
) -> Tensor:
    """Return (B, queries, heads * channels), as mmcv's `multi_scale_deformable_attn_pytorch`."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    # As numbers: sizes on a GPU would be fetched one by one.
    sizes = spatial_shapes.tolist()
    attended: Tensor = multi_scale_deformable_attn_pytorch(value, sizes, sampling_loc, attn_weight)
    return attended


@operator()
def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_loc: Tensor,
    attn_weight: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Compute forward once more, and write the three derivatives."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in (value, sampling_loc, attn_weight)]
        output = ms_deform_attn_forward(leaves[0], spatial_shapes, level_start_index, leaves[1], leaves[2], im2col_step)
    found = torch.autograd.grad(output, leaves, grad_output)
    for target, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), found, strict=True):
        target.copy_(grad)
