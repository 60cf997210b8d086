"""Box coders of MMDetection as scriptable modules, with the same arithmetic.

`build_decoder` reads a coder and refuses a class that it does not know. The modules know tensors only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.family import Size


def clip_boxes(boxes: Tensor, clip: Size) -> Tensor:
    """Clip boxes, to (N, 4) float32.

    Args:
        boxes: (N, 4) float32, xyxy.
        clip: height and width, in pixels of the boxes.
    """
    x = boxes[:, 0::2].clamp(min=0, max=clip[1])
    y = boxes[:, 1::2].clamp(min=0, max=clip[0])
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1)


class DeltaDecoder(nn.Module):
    """`DeltaXYWHBBoxCoder.decode`: shifts and log-scales of a prior box.

    Args:
        means: means of the deltas.
        stds: standard deviations of the deltas.
        clip_border: whether boxes are clipped at the image.
        centre_clamp: largest shift of the centre in pixels (`add_ctr_clamp`), or 0 for none.
        wh_ratio_clip: smallest ratio of a box's side to its prior's.
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
        self.means = nn.Buffer(torch.tensor(means).view(1, -1))
        self.stds = nn.Buffer(torch.tensor(stds).view(1, -1))

    def forward(self, priors: Tensor, deltas: Tensor, clip: Size) -> Tensor:
        """Decode boxes.

        Args:
            priors: (N, 4) float32, xyxy, pixels of the network's input.
            deltas: (N, 4) float32.
            clip: height and width at which boxes are clipped.

        Returns:
            (N, 4) float32, xyxy.
        """
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
    """`DistancePointBBoxCoder.decode`: distances from a point to the four sides."""

    def __init__(self, clip_border: bool = True) -> None:
        super().__init__()
        self.clip_border = clip_border

    def forward(self, priors: Tensor, distances: Tensor, clip: Size) -> Tensor:
        """As `DeltaDecoder.forward`, from (N, 2) points and (N, 4) distances to the left, top, right and bottom."""
        boxes = torch.cat([priors - distances[:, :2], priors + distances[:, 2:]], dim=-1)
        return clip_boxes(boxes, clip) if self.clip_border else boxes


class LegacyDeltaDecoder(DeltaDecoder):
    """`LegacyDeltaXYWHBBoxCoder.decode`: the last pixel of a prior belongs to it."""

    def forward(self, priors: Tensor, deltas: Tensor, clip: Size) -> Tensor:
        """As `DeltaDecoder.forward`; boxes are clipped at the last row and column."""
        deltas = deltas * self.stds + self.means
        log_ratio = deltas[:, 2:].clamp(min=-self.max_log_ratio, max=self.max_log_ratio)
        sizes = priors[:, 2:] - priors[:, :2] + 1.0
        centres = (priors[:, :2] + priors[:, 2:]) * 0.5 + sizes * deltas[:, :2]
        sizes = sizes * log_ratio.exp()
        boxes = torch.cat([centres - sizes * 0.5, centres + sizes * 0.5], dim=-1)
        return clip_boxes(boxes, (clip[0] - 1, clip[1] - 1))


class TblrDecoder(nn.Module):
    """`TBLRBBoxCoder.decode`: distances from a prior's centre up, down, left and right, in sides of the prior."""

    def __init__(self, normalizer: tuple[float, ...], clip_border: bool) -> None:
        super().__init__()
        self.clip_border = clip_border
        self.normalizer = nn.Buffer(torch.tensor(normalizer))

    def forward(self, priors: Tensor, distances: Tensor, clip: Size) -> Tensor:
        """As `DeltaDecoder.forward`, from (N, 4) distances to the top, bottom, left and right."""
        centres, sizes = (priors[:, :2] + priors[:, 2:]) / 2, priors[:, 2:] - priors[:, :2]
        distances = distances * self.normalizer
        vertical, horizontal = sizes[:, 1:] * distances[:, :2], sizes[:, :1] * distances[:, 2:]
        low = centres - torch.stack([horizontal[:, 0], vertical[:, 0]], dim=-1)
        high = centres + torch.stack([horizontal[:, 1], vertical[:, 1]], dim=-1)
        boxes = torch.cat([low, high], dim=-1)
        return clip_boxes(boxes, clip) if self.clip_border else boxes


def build_decoder(coder: Any) -> nn.Module:
    """Make the scriptable decoder of an MMDetection box coder.

    Raises:
        ExportError: the coder is of another class.
    """
    kind = type(coder).__name__
    if kind == "DeltaXYWHBBoxCoder":
        clamp = int(coder.ctr_clamp) if coder.add_ctr_clamp else 0
        return DeltaDecoder(_floats(coder.means), _floats(coder.stds), bool(coder.clip_border), clamp)
    if kind == "LegacyDeltaXYWHBBoxCoder":
        return LegacyDeltaDecoder(_floats(coder.means), _floats(coder.stds))
    if kind == "DistancePointBBoxCoder":
        return DistanceDecoder(coder.clip_border is not False)
    if kind == "TBLRBBoxCoder":
        factor = coder.normalizer
        return TblrDecoder((float(factor),) if isinstance(factor, int | float) else _floats(factor), coder.clip_border)
    raise ExportError(
        f"Boxes of {kind} cannot be exported; known are DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder, "
        "DistancePointBBoxCoder and TBLRBBoxCoder."
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
