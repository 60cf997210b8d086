"""Two-stage detectors: MMDetection's RPN, a standard or a cascade RoI head, and any neck.

Traced are backbone, neck and RPN head, and the box heads on pooled RoIs. Scripted is everything whose counts depend on
the image, from the choice of proposals to the final suppression. The stages themselves are in `box_stages`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.box_stages import BoxStage, DoubleStage, shared_head
from vision_research.deploy.families.family import Family, Found, Scale, Size, inherits_unchanged
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.roi import Proposals, pooling_refusals
from vision_research.deploy.families.select import MulticlassNms, to_image


class TwoStagePostprocess(nn.Module):
    """From the network's maps to detections, through `BoxStage`s in their order."""

    def __init__(self, detector: Any, stages: list[BoxStage]) -> None:
        super().__init__()
        config = detector.roi_head.test_cfg
        self.proposals = Proposals(detector.rpn_head)
        self.stages: Any = nn.ModuleList(stages)
        self.num_stages = len(stages)
        self.num_features = len(stages[0].pooling.scales)
        self.num_levels = len(detector.rpn_head.prior_generator.strides)
        self.score_thr = float(config.score_thr)
        self.max_per_img = int(config.max_per_img)
        self.select = MulticlassNms(config.nms)

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are features for RoIs, then objectness and deltas of the RPN's levels."""
        return self.detect(maps, clip, scale_factor)

    def detect(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """Detect as `forward`, which detectors with masks or grids replace."""
        first = self.num_features + self.num_levels
        features = maps[: self.num_features]
        rois = self.proposals(maps[self.num_features : first], maps[first:], clip)
        # The reshapes of a script fail on tensors without rows. Graphs cannot branch on a count, and need not.
        if torch.jit.is_scripting() and rois.size(0) == 0:  # type: ignore[attr-defined]
            return rois, rois.new_zeros(0), rois.new_zeros(0, dtype=torch.int64)
        boxes = rois[:, None]
        total = rois.new_zeros(1)
        for index, stage in enumerate(self.stages):
            logits, deltas = stage(features, rois)
            total = total + logits
            if index < self.num_stages - 1:
                rois = stage.refine(rois, logits, deltas, clip)
            else:
                boxes = to_image(stage.decode(rois, deltas, clip), scale_factor)
        scores = F.softmax(total / float(self.num_stages), dim=-1)[:, :-1]
        found: Found = self.select(boxes, scores, self.score_thr, self.max_per_img)
        return found


class TwoStageNetwork(nn.Module):
    """Backbone, neck and RPN head as one module from a tensor to a list of maps."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        self.num_features = len(listed(detector.roi_head.bbox_roi_extractor)[0].roi_layers)

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (1, 3, H, W) float32 to the features for RoIs, the objectness and the deltas of all levels."""
        with plain_layers():
            features = self.detector.extract_feat(tensor)
            class_maps, box_maps = self.detector.rpn_head(features)
        return [*features[: self.num_features], *class_maps, *box_maps]


class TwoStageFamily(Family):
    """Faster R-CNN, Cascade R-CNN and similar detectors."""

    name = "two-stage with RPNHead, a standard, double or cascade RoI head and BBoxHeads (Faster R-CNN, Cascade R-CNN)"
    traced = TwoStageNetwork
    predictor = "roi_head"

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        roi_head = getattr(detector, "roi_head", None)
        if getattr(detector, "rpn_head", None) is None or roi_head is None or not hasattr(roi_head, "with_mask"):
            return ["it has no rpn_head with a roi_head"]
        reasons = rpn_refusals(detector.rpn_head) + roi_head_refusals(roi_head)
        if roi_head.with_mask:
            reasons.append("its masks would be lost")
        return reasons

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the box heads are traced on random RoIs."""
        return TwoStagePostprocess(detector, build_stages(detector.roi_head, outputs[0].size(1)))


def build_stages(roi_head: Any, num_channels: int) -> list[BoxStage]:
    """Make the stages of an RoI head that `roi_head_refusals` does not refuse.

    Args:
        roi_head: MMDetection's RoI head.
        num_channels: of the feature maps.
    """
    shared = shared_head(roi_head)
    extractors, heads = listed(roi_head.bbox_roi_extractor), listed(roi_head.bbox_head)
    if hasattr(roi_head, "reg_roi_scale_factor"):
        scale = float(roi_head.reg_roi_scale_factor)
        return [DoubleStage(extractors[0], heads[0], shared, num_channels, scale)]
    return [BoxStage(extractor, head, shared, num_channels) for extractor, head in zip(extractors, heads, strict=True)]


def rpn_refusals(rpn: Any) -> list[str]:
    """Why the proposals of an RPN cannot be exported; empty where they can."""
    from mmdet.models.dense_heads.rpn_head import RPNHead

    if not isinstance(rpn, RPNHead):
        return [f"its proposals come from a {type(rpn).__name__} and not from an RPNHead"]
    return inherits_unchanged(
        rpn, RPNHead, ("predict", "predict_by_feat", "_predict_by_feat_single", "_bbox_post_process")
    )


def roi_head_refusals(roi_head: Any) -> list[str]:
    """Why the boxes of an RoI head cannot be exported; empty where they can."""
    from mmdet.models.roi_heads import CascadeRoIHead, DoubleHeadRoIHead, StandardRoIHead

    if isinstance(roi_head, CascadeRoIHead):
        reasons = inherits_unchanged(roi_head, CascadeRoIHead, ("predict_bbox", "_refine_roi", "_bbox_forward"))
    elif isinstance(roi_head, StandardRoIHead):
        base = DoubleHeadRoIHead if isinstance(roi_head, DoubleHeadRoIHead) else StandardRoIHead
        reasons = inherits_unchanged(roi_head, base, ("predict_bbox", "_bbox_forward"))
    else:
        return [f"{type(roi_head).__name__} is no StandardRoIHead and no CascadeRoIHead"]
    return reasons + inherits_unchanged(roi_head, StandardRoIHead, ("predict",)) + part_refusals(roi_head)


def part_refusals(roi_head: Any) -> list[str]:
    """Why the box heads and extractors of an RoI head cannot be exported; empty where they can."""
    from mmdet.models.roi_heads.bbox_heads.bbox_head import BBoxHead

    reasons = []
    for head in listed(roi_head.bbox_head):
        reasons += inherits_unchanged(
            head, BBoxHead, ("predict_by_feat", "_predict_by_feat_single", "regress_by_class")
        )
        if getattr(head, "custom_cls_channels", False) or getattr(head, "custom_activation", False):
            reasons.append(f"{type(head.loss_cls).__name__} activates the scores itself")
    for extractor in listed(roi_head.bbox_roi_extractor):
        reasons += pooling_refusals(extractor)
    return list(dict.fromkeys(reasons))


def listed(part: Any) -> list[Any]:
    """The parts of all stages as a list; a standard head has one."""
    return list(part) if isinstance(part, nn.ModuleList | list) else [part]
