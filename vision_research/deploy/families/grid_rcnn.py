"""Grid R-CNN: a two-stage detector that finds the sides of a box from a grid of points in each detection.

Differs from `two_stage` in that RoIs are only classified, and in what follows the suppression.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.box_stages import BoxStage
from vision_research.deploy.families.family import inherits_unchanged
from vision_research.deploy.families.roi import pooling_refusals
from vision_research.deploy.families.select import divide_to_image
from vision_research.deploy.families.shared_head import HeadAfterShared, shared_head
from vision_research.deploy.families.tracing import trace
from vision_research.deploy.families.two_stage import (
    TwoStageFamily,
    TwoStagePostprocess,
    build_stages,
    part_refusals,
    rpn_refusals,
)
from vision_research.ops.roi_pooling import RoiPooling


class GridPostprocess(TwoStagePostprocess):
    """From the network's maps to detections.

    Args:
        detector: MMDetection's Grid R-CNN.
        stages: one, which classifies RoIs.
        points: the traced shared head and grid head: (N, C, rows, columns) to (N, points, h, w) heat maps.
    """

    def __init__(self, detector: Any, stages: list[BoxStage], points: nn.Module) -> None:
        super().__init__(detector, stages)
        head = detector.roi_head.grid_head
        self.grid_pooling = RoiPooling(detector.roi_head.grid_roi_extractor)
        self.points = points
        self.grid_size = int(head.grid_size)
        # Origin of the part of the map that each point is searched in: (points, 2), x and y.
        self.corners: Tensor
        self.register_buffer("corners", torch.tensor([region[:2] for region in head.sub_regions]))

    def _detect(
        self, features: list[Tensor], rois: Tensor, clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores, labels = self._run_stages(features, rois, clip, (1.0, 1.0))
        if torch.jit.is_scripting() and boxes.size(0) == 0:  # type: ignore[attr-defined]
            return boxes, scores, labels
        heat = self.points(self.grid_pooling(features, boxes))
        return divide_to_image(self._from_points(boxes, heat.sigmoid()), scale_factor), scores, labels

    def _from_points(self, boxes: Tensor, heat: Tensor) -> Tensor:
        """`GridHead._predict_by_feat_single`: each side is the mean of the points on it, weighted by their heat.

        MMDetection clips a copy of these boxes, so they are not clipped.

        Args:
            boxes: (N, 4) float32, xyxy.
            heat: (N, points, h, w) float32, over boxes twice as large.

        Returns:
            (N, 4) float32.
        """
        height, width = heat.size(2), heat.size(3)
        best, position = heat.flatten(2).max(dim=2)
        column = position % width + self.corners[:, 0]
        row = torch.div(position, width, rounding_mode="floor") + self.corners[:, 1]
        sizes = boxes[:, 2:] - boxes[:, :2]
        low = boxes[:, :2] - sizes / 2
        x = (column.to(boxes.dtype) + 0.5) / width * sizes[:, :1] + low[:, :1]
        y = (row.to(boxes.dtype) + 0.5) / height * sizes[:, 1:] + low[:, 1:]
        size, points = self.grid_size, self.grid_size * self.grid_size
        # Points are in columns, each from top to bottom.
        sides = (
            _mean(x[:, :size], best[:, :size]),
            _mean(y[:, 0:points:size], best[:, 0:points:size]),
            _mean(x[:, points - size :], best[:, points - size :]),
            _mean(y[:, size - 1 : points : size], best[:, size - 1 : points : size]),
        )
        return torch.stack(sides, dim=-1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum(dim=1) / weights.sum(dim=1)


class GridPoints(HeadAfterShared):
    """The shared head, where there is one, and the grid head."""

    def forward(self, pooled: Tensor) -> Tensor:
        """From (N, C, rows, columns) to (N, points, h, w) logits."""
        heat: Tensor = self.head(self.shared_head(pooled))["fused"]
        return heat


class GridFamily(TwoStageFamily):
    """Grid R-CNN."""

    name = "two-stage with RPNHead and GridRoIHead (Grid R-CNN)"

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.roi_heads import GridRoIHead, StandardRoIHead
        from mmdet.models.roi_heads.mask_heads import GridHead

        roi_head = getattr(detector, "roi_head", None)
        if not isinstance(roi_head, GridRoIHead):
            return ["its roi_head is no GridRoIHead"]
        return [
            *rpn_refusals(detector.rpn_head),
            *inherits_unchanged(roi_head, GridRoIHead, ("predict_bbox",)),
            *inherits_unchanged(roi_head, StandardRoIHead, ("predict", "_bbox_forward")),
            *inherits_unchanged(roi_head.grid_head, GridHead, ("predict_by_feat", "_predict_by_feat_single")),
            *part_refusals(roi_head),
            *pooling_refusals(roi_head.grid_roi_extractor),
            *(["its masks would be lost"] if roi_head.with_mask else []),
        ]

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the heads are traced on random RoIs."""
        roi_head = detector.roi_head
        rows, columns = roi_head.grid_roi_extractor.roi_layers[0].output_size
        points = trace(
            GridPoints(roi_head.grid_head, shared_head(roi_head)),
            torch.rand(3, outputs[0].size(1), int(rows), int(columns)),
        )
        return GridPostprocess(detector, build_stages(roi_head, outputs[0].size(1)), points)
