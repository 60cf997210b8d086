"""Grid R-CNN: a two-stage detector that finds the sides of a box from a grid of points in each detection.

Differs from `two_stage` in that RoIs are only classified, and in what follows the suppression.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.box_stages import BoxStage, HeadAfterShared, example_rois, shared_head
from vision_research.deploy.families.family import Found, Scale, Size, inherits_unchanged
from vision_research.deploy.families.roi import pooling_refusals
from vision_research.deploy.families.select import divide_to_image
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
        self.corners = nn.Buffer(torch.tensor([region[:2] for region in head.sub_regions]))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are those of `TwoStagePostprocess`."""
        boxes, scores, labels = self.detect(maps, clip, (1.0, 1.0))
        if torch.jit.is_scripting() and boxes.size(0) == 0:  # type: ignore[attr-defined]
            return boxes, scores, labels
        heat = self.points(self.grid_pooling(maps[: self.num_features], boxes))
        return divide_to_image(self._from_points(boxes, heat.sigmoid()), scale_factor), scores, labels

    def _from_points(self, boxes: Tensor, heat: Tensor) -> Tensor:
        """`GridHead._predict_by_feat_single`: each side is the mean of the points on it, weighted by their heat.

        From (N, 4) boxes and (N, points, h, w) heat over boxes twice as large, to (N, 4) boxes. MMDetection clips a
        copy of these, so they are not clipped.
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
        roi_head, num_channels = detector.roi_head, outputs[0].size(1)
        pooled = example_rois(roi_head.grid_roi_extractor, num_channels)
        points = trace(GridPoints(roi_head.grid_head, shared_head(roi_head)), pooled)
        return GridPostprocess(detector, build_stages(roi_head, num_channels), points)
