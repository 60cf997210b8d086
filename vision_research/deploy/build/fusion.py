"""Makes a network faster on CPUs by folding batch norms and computing in channels-last order.

oneDNN's convolutions read NHWC maps without reordering them, and a batch norm that is folded into the convolution
before it costs no time. On one thread a Faster R-CNN takes two thirds of the time. The results differ in the last bits,
so `export.fuse` is off by default, and a fused module is held to the bounds of another runtime.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class ChannelsLast(nn.Module):
    """A network that computes in channels-last order.

    Args:
        network: from a tensor to maps, with weights in channels-last order.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (N, 3, H, W) in any memory format to maps."""
        maps: list[Tensor] = self.network(tensor.contiguous(memory_format=torch.channels_last))
        return maps


def fused(detector: Any) -> Any:
    """A copy of a detector with batch norms folded into the convolutions before them, and channels-last weights.

    Args:
        detector: in eval mode; it is not changed.
    """
    from mmcv.cnn import fuse_conv_bn

    alone = copy.deepcopy(detector)
    _copy_shared_convolutions(alone)
    return fuse_conv_bn(alone).to(memory_format=torch.channels_last)


def _copy_shared_convolutions(module: nn.Module) -> None:
    """Copy convolutions that several levels share (RTMDet's head), since each level folds a batch norm of its own."""
    seen: set[int] = set()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if not isinstance(child, nn.Conv2d):
                continue
            if id(child) in seen:
                setattr(parent, name, copy.deepcopy(child))
            seen.add(id(child))
