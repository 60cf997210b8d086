"""How dense heads compute boxes from what they predict for each prior: a module for each of MMDetection's ways.

`find_variant` recognises the way by the class that defines the head's decoding. The modules are scripted, and know
tensors only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder, clip_boxes
from vision_research.deploy.families.family import Size, overrides


class CodedBoxes(nn.Module):
    """Boxes by the head's box coder, as `BaseDenseHead` decodes."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.decoder = build_decoder(head.bbox_coder)

    def predictions(self, box_map: Tensor, level: int) -> Tensor:
        """Arrange the predictions for the priors of a level.

        Args:
            box_map: (channels, h, w) float32.
            level: index of the level.

        Returns:
            (priors, 4) float32.
        """
        return box_map.permute(1, 2, 0).reshape(-1, 4)

    def forward(self, priors: Tensor, predictions: Tensor, clip: Size) -> Tensor:
        """Decode boxes.

        Args:
            priors: (N, 2) points or (N, 4) xyxy boxes, float32, pixels of the network's input.
            predictions: (N, 4) float32.
            clip: height and width at which boxes are clipped.

        Returns:
            (N, 4) float32, xyxy, pixels of the network's input.
        """
        boxes: Tensor = self.decoder(priors, predictions, clip)
        return boxes


class GflBoxes(CodedBoxes):
    """`GFLHead`: each distance from the anchor's centre is the mean of a distribution over whole strides."""

    def __init__(self, head: Any) -> None:
        super().__init__(head)
        self.scales = _strides(head)
        self.num_bins = int(head.integral.reg_max) + 1
        self.project = nn.Buffer(head.integral.project.clone())

    def predictions(self, box_map: Tensor, level: int) -> Tensor:
        """As `CodedBoxes.predictions`: the mean distances, in pixels."""
        bins = box_map.permute(1, 2, 0).reshape(-1, self.num_bins)
        return F.linear(F.softmax(bins, dim=1), self.project).reshape(-1, 4) * self.scales[level]

    def forward(self, priors: Tensor, predictions: Tensor, clip: Size) -> Tensor:
        """As `CodedBoxes.forward`, from the centres of (N, 4) anchors."""
        boxes: Tensor = self.decoder((priors[:, 2:] + priors[:, :2]) / 2, predictions, clip)
        return boxes


class ToodBoxes(nn.Module):
    """`TOODHead`: the network gives boxes, in strides."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.scales = _strides(head)

    def predictions(self, box_map: Tensor, level: int) -> Tensor:
        """As `CodedBoxes.predictions`: the boxes, in pixels."""
        return box_map.permute(1, 2, 0).reshape(-1, 4) * self.scales[level]

    def forward(self, priors: Tensor, predictions: Tensor, clip: Size) -> Tensor:
        """As `CodedBoxes.forward`: returns the predictions, which are not clipped."""
        return predictions


class FoveaBoxes(nn.Module):
    """`FoveaHead`: logarithms of the distances from a point, in units of the level's edge length."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.scales = [float(length) for length in head.base_edge_list]

    def predictions(self, box_map: Tensor, level: int) -> Tensor:
        """As `CodedBoxes.predictions`: the distances, in pixels."""
        return box_map.permute(1, 2, 0).reshape(-1, 4).exp() * self.scales[level]

    def forward(self, priors: Tensor, predictions: Tensor, clip: Size) -> Tensor:
        """As `CodedBoxes.forward`, from (N, 2) points; boxes are clipped at the last row and column."""
        low, high = priors - predictions[:, :2], priors + predictions[:, 2:]
        return clip_boxes(_corners(low, high), (clip[0] - 1, clip[1] - 1))


class RepPointsBoxes(nn.Module):
    """`RepPointsHead`: corners relative to a point, in strides."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.scales = [float(stride) for stride in head.point_strides]

    def predictions(self, box_map: Tensor, level: int) -> Tensor:
        """As `CodedBoxes.predictions`: the relative corners, in pixels."""
        return box_map.permute(1, 2, 0).reshape(-1, 4) * self.scales[level]

    def forward(self, priors: Tensor, predictions: Tensor, clip: Size) -> Tensor:
        """As `CodedBoxes.forward`, from (N, 2) points."""
        return clip_boxes(_corners(predictions[:, :2] + priors, predictions[:, 2:] + priors), clip)


@dataclass(frozen=True)
class DenseVariant:
    """A way of decoding.

    Attributes:
        head: the class that defines it.
        boxes: makes the module of a head.
        methods: further methods of that class that the module reproduces.
        activates: whether the network gives scores instead of logits.
    """

    head: type
    boxes: Callable[[Any], nn.Module]
    methods: tuple[str, ...] = ()
    activates: bool = False


def find_variant(head: Any) -> DenseVariant | None:
    """Find the way in which a dense head decodes; None where it is not known."""
    from mmdet.models import dense_heads

    known = (
        DenseVariant(dense_heads.base_dense_head.BaseDenseHead, CodedBoxes),
        DenseVariant(dense_heads.GFLHead, GflBoxes, ("anchor_center",)),
        DenseVariant(dense_heads.TOODHead, ToodBoxes, activates=True),
        DenseVariant(dense_heads.FoveaHead, FoveaBoxes, ("_bbox_decode",)),
        DenseVariant(dense_heads.RepPointsHead, RepPointsBoxes, ("_bbox_decode",)),
    )
    for variant in known:
        if not overrides(head, variant.head, ("_predict_by_feat_single", *variant.methods)):
            return variant
    return None


def _strides(head: Any) -> list[float]:
    return [float(stride[0]) for stride in head.prior_generator.strides]


def _corners(low: Tensor, high: Tensor) -> Tensor:
    return torch.cat([low, high], dim=-1)
