"""What is put around the network of an exported detector: padding, lower precision, and another memory order.

A canvas (`export.shape`) is the tensor that a caller knows: boxes are in its pixels and are clipped at its sides. What
lies beyond it is seen by the network alone.

`export.fuse` makes a network faster on CPUs: oneDNN's convolutions read NHWC maps without reordering them, and a batch
norm that is folded into the convolution before it costs no time. On one thread a Faster R-CNN takes two thirds of the
time. The results differ in the last bits, so it is off by default, and a fused module is held to the bounds of another
runtime.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.build.input_spec import InputSpec


class NetworkPadding(nn.Module):
    """Pads normalised tensors of a fixed canvas below and on the right.

    The padding has the value that the rest of the canvas is padded with: the normalised grey levels where the pipeline
    pads images, else `tensor_pad_value`.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        assert spec.canvas is not None
        self.bottom, self.right = (-side % spec.network_divisor for side in spec.canvas)
        value = torch.full((3,), spec.tensor_pad_value)
        if spec.pad_before_normalise:
            levels = spec.pad_value[::-1] if spec.bgr_to_rgb else spec.pad_value
            value = torch.tensor(levels, dtype=torch.float32)
            if spec.mean:
                value = (value - torch.tensor(spec.mean)) / torch.tensor(spec.std)
        self.value = nn.Buffer(value.view(1, 3, 1, 1))

    def forward(self, tensor: Tensor) -> Tensor:
        """Pad (B, 3, H, W) float32 tensors to (B, 3, H + bottom, W + right)."""
        if self.right:
            beside = self.value.expand(tensor.size(0), 3, tensor.size(2), self.right)
            tensor = torch.cat([tensor, beside], dim=3)
        if self.bottom:
            below = self.value.expand(tensor.size(0), 3, self.bottom, tensor.size(3))
            tensor = torch.cat([tensor, below], dim=2)
        return tensor


class PaddedNetwork(nn.Module):
    """A network that takes canvases of a size that it could not take by itself."""

    def __init__(self, padding: NetworkPadding, network: nn.Module) -> None:
        super().__init__()
        self.padding = padding
        self.network = network

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the maps of the padded tensors."""
        maps: list[Tensor] = self.network(self.padding(tensor))
        return maps


class LowPrecision(nn.Module):
    """A network in lower precision whose input and outputs are float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From a (B, 3, h, w) float32 tensor to float32 maps; maps of whole numbers keep their type."""
        return [level.float() if level.is_floating_point() else level for level in self.network(tensor.to(self.dtype))]


class ChannelsLast(nn.Module):
    """A network that computes in channels-last order, which its weights have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (N, 3, H, W) in any memory format to maps."""
        maps: list[Tensor] = self.network(tensor.contiguous(memory_format=torch.channels_last))
        return maps


def fused(detector: Any) -> Any:
    """A copy of a detector with batch norms folded into the convolutions before them, and channels-last weights."""
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
