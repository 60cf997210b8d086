"""The second stage of a detector, once or several times over: pool RoIs, classify them, and move their boxes.

A module for each way that MMDetection's RoI heads have. What surrounds them is in `two_stage`. Scripted, but for the
box heads, which are traced.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.roi import RoiPooling
from vision_research.deploy.families.select import to_image
from vision_research.deploy.tracing import trace


class BoxStage(nn.Module):
    """`_bbox_forward` of a standard or a cascade RoI head, and what its box head makes of it.

    Args:
        extractor: MMDetection's RoI extractor.
        bbox_head: MMDetection's box head.
        shared_head: what RoIs pass before it, if anything.
        num_channels: of the feature maps.
    """

    def __init__(self, extractor: Any, bbox_head: Any, shared_head: nn.Module | None, num_channels: int) -> None:
        super().__init__()
        self.pooling = RoiPooling(extractor)
        self.box_head = self._trace(bbox_head, shared_head, num_channels)
        self.convolves = any(
            isinstance(module, nn.Conv2d)
            for part in (bbox_head, shared_head or nn.Identity())
            for module in part.modules()
        )
        self.num_classes = int(bbox_head.num_classes)
        self.num_boxes = 1 if bbox_head.reg_class_agnostic or not bbox_head.with_reg else self.num_classes
        self.moves = bool(bbox_head.with_reg)
        self.decoder = build_decoder(bbox_head.bbox_coder)

    def _trace(self, bbox_head: Any, shared_head: nn.Module | None, num_channels: int) -> nn.Module:
        pooled = torch.rand(3, num_channels, self.pooling.rows, self.pooling.columns)
        return trace(BoxHead(bbox_head, shared_head), pooled)

    def forward(self, features: list[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """From (1, C, h, w) levels and (R, 4) RoIs to (R, classes + 1) logits and (R, 4 * boxes) deltas."""
        return self._run(self.pooling(features, rois))

    def _run(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        if self.convolves and not torch.jit.is_scripting():  # type: ignore[attr-defined]
            # One RoI more: a graph cannot tell whether there is any, and torch.export wants to know.
            logits, deltas = self.box_head(torch.cat([pooled, pooled.new_zeros(1, *pooled.shape[1:])]))
            return logits[:-1], deltas[:-1]
        logits, deltas = self.box_head(pooled)
        return logits, deltas

    def refine(self, rois: Tensor, logits: Tensor, deltas: Tensor, clip: tuple[int, int]) -> Tensor:
        """`regress_by_class`: the (R, 4) RoIs of the next stage, each moved as its best class says."""
        boxes = self.decode(rois, deltas, clip)
        if self.num_boxes == 1:
            return boxes[:, 0]
        best = logits[:, :-1].argmax(dim=1)
        return boxes[torch.arange(best.size(0), device=best.device), best]

    def decode(self, rois: Tensor, deltas: Tensor, clip: tuple[int, int]) -> Tensor:
        """(R, boxes, 4) xyxy boxes, pixels of the network's input; one for each class, or one for all."""
        if not self.moves:
            return rois[:, None]
        boxes: Tensor = self.decoder(rois.repeat_interleave(self.num_boxes, dim=0), deltas.view(-1, 4), clip)
        return boxes.view(-1, self.num_boxes, 4)

    def factors(self, deltas: Tensor) -> Tensor | None:
        """(R,) factors of the scores, where the deltas tell how sure they are."""
        return None

    def to_image(self, boxes: Tensor, scale_factor: tuple[float, float]) -> Tensor:
        """(R, boxes, 4) boxes from pixels of the network's input to pixels of the image."""
        return to_image(boxes, scale_factor)


class DoubleStage(BoxStage):
    """`DoubleHeadRoIHead`: the box branch sees wider RoIs than the class branch.

    Args:
        extractor: MMDetection's RoI extractor.
        bbox_head: MMDetection's box head.
        shared_head: what RoIs pass before it, if anything.
        num_channels: of the feature maps.
        scale: of the box branch's RoIs.
    """

    def __init__(
        self, extractor: Any, bbox_head: Any, shared_head: nn.Module | None, num_channels: int, scale: float
    ) -> None:
        super().__init__(extractor, bbox_head, shared_head, num_channels)
        self.wide_pooling = RoiPooling(extractor, scale)

    def _trace(self, bbox_head: Any, shared_head: nn.Module | None, num_channels: int) -> nn.Module:
        pooled = torch.rand(3, 2 * num_channels, self.pooling.rows, self.pooling.columns)
        return trace(DoubleBoxHead(bbox_head, shared_head), pooled)

    def forward(self, features: list[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """From (1, C, h, w) levels and (R, 4) RoIs to (R, classes + 1) logits and (R, 4 * boxes) deltas."""
        pooled = torch.cat([self.pooling(features, rois), self.wide_pooling(features, rois)], dim=1)
        return self._run(pooled)


class BoxHead(nn.Module):
    """The shared head, where there is one, and the box head.

    Args:
        bbox_head: MMDetection's box head.
        shared_head: what RoIs pass before it.
    """

    def __init__(self, bbox_head: Any, shared_head: nn.Module | None) -> None:
        super().__init__()
        self.shared_head = nn.Identity() if shared_head is None else shared_head
        self.bbox_head = bbox_head

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (R, C, rows, columns) to (R, classes + 1) logits and (R, 4 or 4 * classes) deltas, or none of them."""
        with plain_layers():
            logits, deltas = self.bbox_head(self.shared_head(pooled))
        return logits, logits[:, :0] if deltas is None else deltas


class DoubleBoxHead(BoxHead):
    """A box head whose two branches see RoIs of their own, laid behind each other along the channels."""

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (R, 2 * C, rows, columns) to (R, classes + 1) logits and (R, 4 or 4 * classes) deltas."""
        narrow, wide = pooled.chunk(2, dim=1)
        logits, deltas = self.bbox_head(self.shared_head(narrow), self.shared_head(wide))
        return logits, deltas
