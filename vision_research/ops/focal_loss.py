"""Focal losses with the formulas of mmcv's CUDA kernels, and their derivatives.

Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vision_research.ops.precision import widened

TINY = torch.finfo(torch.float32).tiny


def sigmoid_focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the loss of each logit, (N, classes).

    Args:
        logits: (N, classes).
        target: (N,) int64 class; the number of classes stands for the background.
        weight: (classes,) factor of each class, or empty.
        gamma: how much less easy samples weigh.
        alpha: factor of positive samples; negative ones have 1 - alpha.
    """
    x = widened(logits)
    # mmcv's kernel takes the logarithm of 1 - p, of which no digit is left in float32 from a logit of 17 on.
    positive = (-x).sigmoid() ** gamma * F.logsigmoid(x) * -alpha
    negative = x.sigmoid() ** gamma * F.logsigmoid(-x) * (alpha - 1)
    return _weighted(torch.where(_is_class(logits, target), positive, negative), target, weight)


def sigmoid_focal_loss_backward(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the derivative of each `sigmoid_focal_loss` by its logit, (N, classes).

    Args:
        logits: argument of `sigmoid_focal_loss`, as all the others.
        target: as there.
        weight: as there.
        gamma: as there.
        alpha: as there.
    """
    x = widened(logits)
    p, q = x.sigmoid(), (-x).sigmoid()
    positive = q**gamma * (q - gamma * p * F.logsigmoid(x)) * -alpha
    negative = p**gamma * (gamma * q * F.logsigmoid(-x) - p) * (alpha - 1)
    return _weighted(torch.where(_is_class(logits, target), positive, negative), target, weight)


def softmax_focal_loss(probabilities: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the loss of each row, (N,); zero where the target is negative.

    Args:
        probabilities: (N, classes), after a softmax.
        target: (N,) int64 class.
        weight: (classes,) factor of each class, or empty.
        gamma: how much less easy samples weigh.
        alpha: factor of all losses.
    """
    p = _of_target(probabilities, target)
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=TINY).log()
    return _counted(loss, target, weight)


def softmax_focal_loss_backward(
    probabilities: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    """Return the derivative of each `softmax_focal_loss` by the logits before the softmax, (N, classes).

    Args:
        probabilities: argument of `softmax_focal_loss`, as all the others.
        target: as there.
        weight: as there.
        gamma: as there.
        alpha: as there.
    """
    p = _of_target(probabilities, target)
    factor = -alpha * ((1 - p) ** gamma - gamma * (1 - p) ** (gamma - 1) * p * p.clamp(min=TINY).log())
    is_target = torch.zeros_like(probabilities).scatter_(1, target.clamp(min=0)[:, None], 1)
    return _counted(factor, target, weight)[:, None] * (is_target - probabilities)


def _is_class(logits: Tensor, target: Tensor) -> Tensor:
    return target[:, None] == torch.arange(logits.size(1), device=logits.device)


def _weighted(loss: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    # The background, which has the number of classes as its target, has no weight of its own.
    return loss * torch.cat([weight, weight.new_ones(1)])[target][:, None] if weight.numel() > 0 else loss


def _of_target(probabilities: Tensor, target: Tensor) -> Tensor:
    return probabilities.gather(1, target.clamp(min=0)[:, None])[:, 0]


def _counted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() > 0:
        values = values * weight[target.clamp(min=0)]
    return torch.where(target >= 0, values, torch.zeros_like(values))
