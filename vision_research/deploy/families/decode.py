"""Priors and box coders of MMDetection as scriptable modules: the same arithmetic, on whatever feature sizes come.

Each `build_*` reads one MMDetection object and refuses a class that it does not know. The modules know tensors only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.errors import ExportError


class AnchorGrid(nn.Module):
    """Anchors of one pyramid level (`AnchorGenerator.single_level_grid_priors`).

    Args:
        base_anchors: (A, 4) float32, xyxy around the cell's origin, pixels of the network's input.
        stride: pixels per cell (x, y).
    """

    def __init__(self, base_anchors: Tensor, stride: tuple[int, int]) -> None:
        super().__init__()
        self.stride_x, self.stride_y = stride
        self.base_anchors: Tensor
        self.register_buffer("base_anchors", base_anchors.clone())

    def forward(self, height: int, width: int) -> Tensor:
        """All anchors of a (height, width) feature map: (height * width * A, 4) float32, rows first."""
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
        # Carries the device and the dtype, which a module without parameters would not know.
        self.anchor: Tensor
        self.register_buffer("anchor", torch.zeros(1))

    def forward(self, height: int, width: int) -> Tensor:
        """All points of a (height, width) feature map: (height * width, 2) float32, x and y, rows first."""
        x = ((torch.arange(width, device=self.anchor.device) + self.offset) * self.stride_x).to(self.anchor.dtype)
        y = ((torch.arange(height, device=self.anchor.device) + self.offset) * self.stride_y).to(self.anchor.dtype)
        return torch.stack([x.repeat(height), y.view(-1, 1).repeat(1, width).view(-1)], dim=-1)


def build_priors(generator: Any) -> nn.ModuleList:
    """One scriptable prior grid for each level of an MMDetection prior generator.

    Raises:
        ExportError: a generator of another class.
    """
    kind = type(generator).__name__
    if kind == "AnchorGenerator":
        pairs = zip(generator.base_anchors, generator.strides, strict=True)
        return nn.ModuleList(AnchorGrid(base, (int(stride[0]), int(stride[1]))) for base, stride in pairs)
    if kind == "MlvlPointGenerator":
        return nn.ModuleList(
            PointGrid(float(generator.offset), (int(stride[0]), int(stride[1]))) for stride in generator.strides
        )
    raise ExportError(f"Priors of {kind} cannot be exported; known are AnchorGenerator and MlvlPointGenerator.")


def clip_boxes(boxes: Tensor, clip: tuple[int, int]) -> Tensor:
    """Clip (N, 4) xyxy boxes at a height and width, in their pixels."""
    x = boxes[:, 0::2].clamp(min=0, max=clip[1])
    y = boxes[:, 1::2].clamp(min=0, max=clip[0])
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1)


class DeltaDecoder(nn.Module):
    """`DeltaXYWHBBoxCoder.decode`: shifts and log-scales of a prior box.

    Args:
        means: of the deltas.
        stds: of the deltas.
        clip_border: whether boxes are clipped at the image.
        centre_clamp: largest shift of the centre in pixels (`add_ctr_clamp`), or 0 for none.
        wh_ratio_clip: smallest ratio of a box side to its prior's.
    """

    def __init__(
        self,
        means: tuple[float, ...],
        stds: tuple[float, ...],
        clip_border: bool = True,
        centre_clamp: int = 0,
        wh_ratio_clip: float = 16 / 1000,
    ) -> None:
        super().__init__()
        self.clip_border = clip_border
        self.centre_clamp = centre_clamp
        self.max_log_ratio = abs(math.log(wh_ratio_clip))
        self.means: Tensor
        self.register_buffer("means", torch.tensor(means).view(1, -1))
        self.stds: Tensor
        self.register_buffer("stds", torch.tensor(stds).view(1, -1))

    def forward(self, priors: Tensor, deltas: Tensor, clip: tuple[int, int]) -> Tensor:
        """Decode (N, 4) priors and (N, 4) deltas to (N, 4) xyxy boxes, clipped at (height, width)."""
        deltas = deltas * self.stds + self.means
        centres, sizes = (priors[:, :2] + priors[:, 2:]) * 0.5, priors[:, 2:] - priors[:, :2]
        shift, log_ratio = sizes * deltas[:, :2], deltas[:, 2:]
        if self.centre_clamp > 0:
            shift = torch.clamp(shift, max=self.centre_clamp, min=-self.centre_clamp)
            log_ratio = torch.clamp(log_ratio, max=self.max_log_ratio)
        else:
            log_ratio = log_ratio.clamp(min=-self.max_log_ratio, max=self.max_log_ratio)
        centres, sizes = centres + shift, sizes * log_ratio.exp()
        boxes = torch.cat([centres - sizes * 0.5, centres + sizes * 0.5], dim=-1)
        return clip_boxes(boxes, clip) if self.clip_border else boxes


class DistanceDecoder(nn.Module):
    """`DistancePointBBoxCoder.decode`: distances from a point to the four sides.

    Args:
        clip_border: whether boxes are clipped at the image.
    """

    def __init__(self, clip_border: bool = True) -> None:
        super().__init__()
        self.clip_border = clip_border

    def forward(self, priors: Tensor, distances: Tensor, clip: tuple[int, int]) -> Tensor:
        """Decode (N, 2) points and (N, 4) distances to (N, 4) xyxy boxes, clipped at (height, width)."""
        boxes = torch.cat([priors - distances[:, :2], priors + distances[:, 2:]], dim=-1)
        return clip_boxes(boxes, clip) if self.clip_border else boxes


def build_decoder(coder: Any) -> nn.Module:
    """The scriptable decoder of an MMDetection box coder.

    Raises:
        ExportError: a coder of another class.
    """
    kind = type(coder).__name__
    if kind == "DeltaXYWHBBoxCoder":
        clamp = int(coder.ctr_clamp) if coder.add_ctr_clamp else 0
        means, stds = (tuple(float(value) for value in values) for values in (coder.means, coder.stds))
        return DeltaDecoder(means, stds, bool(coder.clip_border), clamp)
    if kind == "DistancePointBBoxCoder":
        return DistanceDecoder(coder.clip_border is not False)
    raise ExportError(f"Boxes of {kind} cannot be exported; known are DeltaXYWHBBoxCoder and DistancePointBBoxCoder.")
