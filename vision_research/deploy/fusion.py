"""Makes a network faster on CPUs at the price of equality to the last bit: folded batch norms, channels last.

Convolutions of oneDNN read NHWC maps without reordering them, and a batch norm that is folded into the convolution
before it costs nothing. Measured on one thread, a Faster R-CNN takes two thirds of the time.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class ChannelsLast(nn.Module):
    """A network that computes channels last.

    Args:
        network: from a tensor to maps; its weights are channels last.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (N, 3, H, W) in any memory format to maps."""
        maps: list[Tensor] = self.network(tensor.contiguous(memory_format=torch.channels_last))
        return maps


def fused(detector: Any) -> Any:
    """A copy of a detector with its batch norms folded into the convolutions before them, and weights channels last.

    Args:
        detector: in eval mode; it stays as it is.
    """
    from mmcv.cnn import fuse_conv_bn

    alone = copy.deepcopy(detector)
    _give_each_its_own(alone)
    return fuse_conv_bn(alone).to(memory_format=torch.channels_last)


def _give_each_its_own(module: nn.Module) -> None:
    """Part convolutions that levels with batch norms of their own share (RTMDet's head), so that each folds its own."""
    seen: set[int] = set()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if not isinstance(child, nn.Conv2d):
                continue
            if id(child) in seen:
                setattr(parent, name, copy.deepcopy(child))
            seen.add(id(child))
