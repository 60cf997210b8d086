"""Pads a canvas of any size to the multiples that the network needs, within the exported module.

A canvas (`export.shape`) is the tensor that a caller knows: boxes are in its pixels and are clipped at its sides. What
lies beyond it is seen by the network alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.deploy.build.input_spec import InputSpec


class NetworkPadding(nn.Module):
    """Pads normalised tensors of a fixed canvas below and on the right.

    The padding has the value that the rest of the canvas is padded with: the normalised grey levels where the pipeline
    pads images, else `tensor_pad_value`.

    Args:
        spec: the preprocessing, with a canvas.
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
        self.value: Tensor
        self.register_buffer("value", value.view(1, 3, 1, 1))

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
    """A network that takes canvases of a size that it could not take by itself.

    Args:
        padding: of the canvas.
        network: from a tensor to maps.
    """

    def __init__(self, padding: NetworkPadding, network: nn.Module) -> None:
        super().__init__()
        self.padding = padding
        self.network = network

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the maps of the padded tensors."""
        maps: list[Tensor] = self.network(self.padding(tensor))
        return maps
