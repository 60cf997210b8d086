"""Priors of MMDetection as scriptable modules, with the same arithmetic, for feature maps of any size.

`build_priors` reads a prior generator and refuses one whose grid it does not know. The modules know tensors only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.family import overrides


class AnchorGrid(nn.Module):
    """Anchors of one pyramid level (`AnchorGenerator.single_level_grid_priors`).

    Args:
        base_anchors: (A, 4) float32, xyxy around the cell's origin, pixels of the network's input.
        stride: pixels per cell (x, y).
    """

    def __init__(self, base_anchors: Tensor, stride: tuple[int, int]) -> None:
        super().__init__()
        self.stride_x, self.stride_y = stride
        self.base_anchors = nn.Buffer(base_anchors.clone())

    def forward(self, height: int, width: int) -> Tensor:
        """Make the anchors of a feature map, (height * width * A, 4) float32, row by row.

        Args:
            height: of the map, cells.
            width: of the map, cells.
        """
        anchors = self.base_anchors
        x = torch.arange(width, device=anchors.device).to(anchors.dtype) * self.stride_x
        y = torch.arange(height, device=anchors.device).to(anchors.dtype) * self.stride_y
        shift_x, shift_y = x.repeat(height), y.view(-1, 1).repeat(1, width).view(-1)
        shifts = torch.stack([shift_x, shift_y, shift_x, shift_y], dim=-1)
        return (anchors[None, :, :] + shifts[:, None, :]).view(-1, 4)


class PointGrid(nn.Module):
    """Points of one pyramid level (`MlvlPointGenerator.single_level_grid_priors`).

    Args:
        offset: of the point in its cell, in cells.
        stride: pixels per cell (x, y).
    """

    def __init__(self, offset: float, stride: tuple[int, int]) -> None:
        super().__init__()
        self.offset = offset
        self.stride_x, self.stride_y = stride
        # Holds the device and the dtype, which a module without parameters or buffers does not have.
        self.anchor = nn.Buffer(torch.zeros(1))

    def forward(self, height: int, width: int) -> Tensor:
        """As `AnchorGrid.forward`, (height * width, 2) float32, x and y."""
        x = ((torch.arange(width, device=self.anchor.device) + self.offset) * self.stride_x).to(self.anchor.dtype)
        y = ((torch.arange(height, device=self.anchor.device) + self.offset) * self.stride_y).to(self.anchor.dtype)
        return torch.stack([x.repeat(height), y.view(-1, 1).repeat(1, width).view(-1)], dim=-1)


def build_priors(generator: Any) -> nn.ModuleList:
    """Make a scriptable prior grid for each level of an MMDetection prior generator.

    Base anchors are read from the generator; it may compute them in any way (SSD, YOLO); only the grid must be known.

    Raises:
        ExportError: the generator has a grid of its own.
    """
    from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator

    strides = [(int(stride[0]), int(stride[1])) for stride in generator.strides]
    grid = ("grid_priors", "single_level_grid_priors")
    if isinstance(generator, AnchorGenerator) and not overrides(generator, AnchorGenerator, grid):
        return nn.ModuleList(map(AnchorGrid, generator.base_anchors, strides))
    if isinstance(generator, MlvlPointGenerator) and not overrides(generator, MlvlPointGenerator, grid):
        return nn.ModuleList(PointGrid(float(generator.offset), stride) for stride in strides)
    raise ExportError(
        f"Priors of {type(generator).__name__} cannot be exported; known are AnchorGenerator, MlvlPointGenerator and "
        "what inherits their grid."
    )
