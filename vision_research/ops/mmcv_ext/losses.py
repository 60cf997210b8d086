"""Focal losses, with the arguments of mmcv's extension."""

from __future__ import annotations

from torch import Tensor

from vision_research.ops import focal_loss
from vision_research.ops.mmcv_ext.registry import operator


@operator("output")
def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each logit into `output`."""
    output.copy_(focal_loss.sigmoid_focal_loss(input, target, weight, gamma, alpha))


@operator("grad_input")
def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each loss by its logit into `grad_input`."""
    grad_input.copy_(focal_loss.sigmoid_focal_loss_backward(input, target, weight, gamma, alpha))


@operator("output")
def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each row of probabilities into `output`."""
    output.copy_(focal_loss.softmax_focal_loss(input, target, weight, gamma, alpha))


@operator("buff", "grad_input")
def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative by each logit into `grad_input`."""
    grad_input.copy_(focal_loss.softmax_focal_loss_backward(input, target, weight, gamma, alpha))
