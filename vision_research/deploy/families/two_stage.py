"""Two-stage detectors: Faster R-CNN with MMDetection's RPN, a standard RoI head and any neck.

Traced: backbone, neck and RPN maps; and the box head on pooled RoIs. Scripted: everything whose counts depend on the
image, from the choice of proposals to the final suppression.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.decode import build_decoder
from vision_research.deploy.families.dense import build_nms, to_image
from vision_research.deploy.families.family import Family, inherits_unchanged
from vision_research.deploy.families.roi import Proposals, RoiPooling
from vision_research.deploy.tracing import trace


class TwoStagePostprocess(nn.Module):
    """From the network's maps to detections.

    Args:
        detector: MMDetection's two-stage detector.
        box_head: the traced box head: (N, C, rows, columns) to class logits and deltas.
    """

    def __init__(self, detector: Any, box_head: nn.Module) -> None:
        super().__init__()
        head, config = detector.roi_head.bbox_head, detector.roi_head.test_cfg
        self.proposals = Proposals(detector.rpn_head)
        self.pooling = RoiPooling(detector.roi_head.bbox_roi_extractor)
        self.box_head = box_head
        self.decoder = build_decoder(head.bbox_coder)
        self.num_features = len(detector.roi_head.bbox_roi_extractor.roi_layers)
        self.num_levels = len(detector.rpn_head.prior_generator.strides)
        self.num_classes = int(head.num_classes)
        self.class_agnostic = bool(head.reg_class_agnostic)
        self.score_thr = float(config.score_thr)
        self.max_per_img = int(config.max_per_img)
        self.nms = build_nms(config.nms)

    def forward(
        self, maps: list[Tensor], clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            maps: features that RoIs are pooled from, then objectness and deltas of the RPN's levels.
            clip: height and width at which boxes are clipped, pixels of the network's input.
            scale_factor: pixels of the network's input per pixel of the image (x, y).

        Returns:
            Boxes (N, 4) float32, xyxy, pixels of the image; scores (N,) float32, descending; labels (N,) int64.
        """
        first = self.num_features + self.num_levels
        rois = self.proposals(maps[self.num_features : first], maps[first:], clip)
        # An exported graph takes no branch on a count, and its layers take no rows; a script's reshapes would not.
        if torch.jit.is_scripting() and rois.size(0) == 0:  # type: ignore[attr-defined]
            return rois, rois.new_zeros(0), rois.new_zeros(0, dtype=torch.int64)
        logits, deltas = self.box_head(self.pooling(maps[: self.num_features], rois))
        num_boxes = 1 if self.class_agnostic else self.num_classes
        boxes = self.decoder(rois.repeat_interleave(num_boxes, dim=0), deltas.view(-1, 4), clip)
        boxes = to_image(boxes, scale_factor).view(rois.size(0), num_boxes, 4)
        return self._select(boxes.expand(-1, self.num_classes, 4).reshape(-1, 4), F.softmax(logits, dim=-1))

    def _select(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`multiclass_nms` on (R * classes, 4) boxes and (R, classes + 1) scores, the last one background."""
        scores = scores[:, :-1]
        labels = torch.arange(self.num_classes, device=scores.device).view(1, -1).expand_as(scores).reshape(-1)
        scores = scores.reshape(-1)
        above = torch.nonzero(scores > self.score_thr).view(-1)
        boxes, scores, labels = boxes[above], scores[above], labels[above]
        keep = self.nms(boxes, scores, labels, self.max_per_img)
        if self.max_per_img > 0:
            keep = keep[: self.max_per_img]
        return boxes[keep], scores[keep], labels[keep]


class TwoStageNetwork(nn.Module):
    """Backbone, neck and RPN head as one module from a tensor to a list of maps.

    Args:
        detector: MMDetection's two-stage detector.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        self.num_features = len(detector.roi_head.bbox_roi_extractor.roi_layers)

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (1, 3, H, W) float32 to the features for RoIs, the objectness and the deltas of all levels."""
        features = self.detector.extract_feat(tensor)
        class_maps, box_maps = self.detector.rpn_head(features)
        return [*features[: self.num_features], *class_maps, *box_maps]


class BoxHead(nn.Module):
    """The shared head, where there is one, and the box head.

    Args:
        roi_head: MMDetection's RoI head.
    """

    def __init__(self, roi_head: Any) -> None:
        super().__init__()
        self.shared_head = roi_head.shared_head if roi_head.with_shared_head else nn.Identity()
        self.bbox_head = roi_head.bbox_head

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (N, C, rows, columns) to (N, classes + 1) logits and (N, 4 or 4 * classes) deltas."""
        logits, deltas = self.bbox_head(self.shared_head(pooled))
        return logits, deltas


class TwoStageFamily(Family):
    """Faster R-CNN and its like."""

    name = "two-stage with RPNHead, StandardRoIHead and a BBoxHead (Faster R-CNN)"

    def refusals(self, detector: Any) -> list[str]:
        """Why this detector is not one of the family; empty where it is."""
        from mmdet.models.dense_heads.rpn_head import RPNHead
        from mmdet.models.roi_heads.bbox_heads.bbox_head import BBoxHead
        from mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor import SingleRoIExtractor
        from mmdet.models.roi_heads.standard_roi_head import StandardRoIHead

        rpn, roi_head = getattr(detector, "rpn_head", None), getattr(detector, "roi_head", None)
        if rpn is None or not isinstance(roi_head, StandardRoIHead):
            return ["it has no rpn_head with a StandardRoIHead"]
        predict = ("predict", "predict_by_feat", "_predict_by_feat_single", "_bbox_post_process")
        reasons = inherits_unchanged(rpn, RPNHead, predict)
        reasons += inherits_unchanged(roi_head, StandardRoIHead, ("predict", "predict_bbox", "_bbox_forward"))
        reasons += inherits_unchanged(roi_head.bbox_head, BBoxHead, ("predict_by_feat", "_predict_by_feat_single"))
        reasons += inherits_unchanged(roi_head.bbox_roi_extractor, SingleRoIExtractor, ("forward", "map_roi_levels"))
        if roi_head.with_mask:
            reasons.append("its masks would be lost")
        if roi_head.bbox_head.custom_cls_channels or not roi_head.bbox_head.with_reg:
            reasons.append(f"{type(roi_head.bbox_head).__name__} does not give a softmax and box deltas")
        reasons += _pooling_refusals(roi_head.bbox_roi_extractor)
        return reasons

    def network(self, detector: Any) -> nn.Module:
        """The part that is traced."""
        return TwoStageNetwork(detector)

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """The part that is scripted; the box head in it is traced on random RoIs."""
        extractor = detector.roi_head.bbox_roi_extractor
        rows, columns = extractor.roi_layers[0].output_size
        pooled = torch.rand(3, outputs[0].size(1), rows, columns)
        return TwoStagePostprocess(detector, trace(BoxHead(detector.roi_head), pooled))

    def test_cfg(self, detector: Any) -> Any:
        """Where the final score threshold and count are set."""
        return detector.roi_head.test_cfg


def _pooling_refusals(extractor: Any) -> list[str]:
    layers = list(getattr(extractor, "roi_layers", []))
    if any(type(layer).__name__ != "RoIAlign" or layer.pool_mode != "avg" for layer in layers):
        return ["its RoIs are pooled by another layer than RoIAlign with pool_mode='avg'"]
    return []
