"""The second stage of a detector, once or several times in a row: pools RoIs, classifies them, and refines their boxes.

There is a module for each kind of MMDetection's RoI heads; `two_stage` runs them. All is scripted except the box heads,
which are traced.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.family import Size
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.tracing import trace
from vision_research.ops.roi_pooling import RoiPooling


class HeadAfterShared(nn.Module):
    """The shared head, where there is one, and a head.

    Args:
        head: MMDetection's head of boxes, masks or grid points.
        shared_head: what pooled RoIs pass before it; None where there is none.
    """

    def __init__(self, head: Any, shared_head: nn.Module | None) -> None:
        super().__init__()
        self.shared_head = nn.Identity() if shared_head is None else shared_head
        self.head = head


def shared_head(roi_head: Any) -> nn.Module | None:
    """The shared head (of C4 variants) of an RoI head, or None where there is none."""
    return roi_head.shared_head if roi_head.with_shared_head else None


def example_rois(extractor: Any, num_channels: int) -> Tensor:
    """Random pooled RoIs to trace a head on, (3, C, rows, columns) float32.

    Args:
        extractor: MMDetection's RoI extractor.
        num_channels: of the feature maps.
    """
    return torch.rand(3, num_channels, *(int(side) for side in extractor.roi_layers[0].output_size))


class BoxStage(nn.Module):
    """`_bbox_forward` of a standard or a cascade RoI head, and the decoding of its box head.

    Args:
        extractor: MMDetection's RoI extractor.
        bbox_head: MMDetection's box head.
        shared_head: what RoIs pass before it; None where there is none.
        num_channels: of the feature maps.
    """

    def __init__(self, extractor: Any, bbox_head: Any, shared_head: nn.Module | None, num_channels: int) -> None:
        super().__init__()
        self.pooling = RoiPooling(extractor)
        self.box_head = self._trace(bbox_head, shared_head, example_rois(extractor, num_channels))
        self.convolves = any(
            isinstance(module, nn.Conv2d)
            for part in (bbox_head, shared_head or nn.Identity())
            for module in part.modules()
        )
        self.num_classes = int(bbox_head.num_classes)
        self.num_boxes = 1 if bbox_head.reg_class_agnostic or not bbox_head.with_reg else self.num_classes
        self.moves = bool(bbox_head.with_reg)
        self.decoder = build_decoder(bbox_head.bbox_coder)

    def _trace(self, bbox_head: Any, shared_head: nn.Module | None, pooled: Tensor) -> nn.Module:
        return trace(BoxHead(bbox_head, shared_head), pooled)

    def forward(self, features: list[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """Classify RoIs and predict how their boxes move.

        Args:
            features: (1, C, h, w) float32 of each level.
            rois: (R, 4) float32, xyxy, pixels of the network's input.

        Returns:
            (R, classes + 1) logits and (R, 4 * boxes) deltas.
        """
        return self._run(self.pooling(features, rois))

    def _run(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        if self.convolves and not torch.jit.is_scripting():  # type: ignore[attr-defined]
            # One RoI more, since torch.export must know that there is one; its row is dropped.
            logits, deltas = self.box_head(torch.cat([pooled, pooled.new_zeros(1, *pooled.shape[1:])]))
            return logits[:-1], deltas[:-1]
        logits, deltas = self.box_head(pooled)
        return logits, deltas

    def refine(self, rois: Tensor, logits: Tensor, deltas: Tensor, clip: Size) -> Tensor:
        """`regress_by_class`: move each RoI by the deltas of its best class.

        Args:
            rois: (R, 4) float32, xyxy, pixels of the network's input; the result is like them.
            logits: (R, classes + 1) float32.
            deltas: (R, 4 * boxes) float32.
            clip: height and width at which boxes are clipped.
        """
        boxes = self.decode(rois, deltas, clip)
        if self.num_boxes == 1:
            return boxes[:, 0]
        best = logits[:, :-1].argmax(dim=1)
        return boxes[torch.arange(best.size(0), device=best.device), best]

    def decode(self, rois: Tensor, deltas: Tensor, clip: Size) -> Tensor:
        """Decode deltas to boxes, one for each class or one for all classes.

        Args:
            rois: (R, 4) float32, xyxy, pixels of the network's input.
            deltas: (R, 4 * boxes) float32.
            clip: height and width at which boxes are clipped.

        Returns:
            (R, boxes, 4) xyxy boxes, pixels of the network's input.
        """
        if not self.moves:
            return rois[:, None]
        boxes: Tensor = self.decoder(rois.repeat_interleave(self.num_boxes, dim=0), deltas.view(-1, 4), clip)
        return boxes.view(-1, self.num_boxes, 4)


class DoubleStage(BoxStage):
    """`DoubleHeadRoIHead`: the box branch sees RoIs that are wider by `scale` than those of the class branch."""

    def __init__(
        self, extractor: Any, bbox_head: Any, shared_head: nn.Module | None, num_channels: int, scale: float
    ) -> None:
        super().__init__(extractor, bbox_head, shared_head, num_channels)
        self.wide_pooling = RoiPooling(extractor, scale)

    def _trace(self, bbox_head: Any, shared_head: nn.Module | None, pooled: Tensor) -> nn.Module:
        return trace(DoubleBoxHead(bbox_head, shared_head), torch.cat([pooled, pooled], dim=1))

    def forward(self, features: list[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """As `BoxStage.forward`, on RoIs of both sizes."""
        pooled = torch.cat([self.pooling(features, rois), self.wide_pooling(features, rois)], dim=1)
        return self._run(pooled)


class BoxHead(HeadAfterShared):
    """The shared head, where there is one, and the box head."""

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (R, C, rows, columns) to (R, classes + 1) logits and (R, 4 or 4 * classes) deltas.

        The deltas of a head that predicts none are (R, 0).
        """
        with plain_layers():
            logits, deltas = self.head(self.shared_head(pooled))
        return logits, logits[:, :0] if deltas is None else deltas


class DoubleBoxHead(BoxHead):
    """A box head whose two branches have RoIs of their own, which are concatenated along the channels."""

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (R, 2 * C, rows, columns) to (R, classes + 1) logits and (R, 4 or 4 * classes) deltas."""
        narrow, wide = pooled.chunk(2, dim=1)
        logits, deltas = self.head(self.shared_head(narrow), self.shared_head(wide))
        return logits, deltas
