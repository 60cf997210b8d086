"""Two-stage detectors with masks: Mask R-CNN, Cascade Mask R-CNN, Mask Scoring R-CNN.

Boxes are computed as in `two_stage`. The mask heads are traced on pooled RoIs; pooling and pasting are scripted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.box_stages import BoxStage, HeadAfterShared, example_rois, shared_head
from vision_research.deploy.families.family import FoundMasks, Scale, Size, inherits_unchanged
from vision_research.deploy.families.roi import pooling_refusals
from vision_research.deploy.families.select import divide_to_image
from vision_research.deploy.families.tracing import trace
from vision_research.deploy.families.two_stage import (
    TwoStageFamily,
    TwoStagePostprocess,
    build_stages,
    listed,
    roi_head_refusals,
    rpn_refusals,
)
from vision_research.ops.masks import paste_masks
from vision_research.ops.roi_pooling import RoiPooling


class MaskHead(HeadAfterShared):
    """The shared head, where there is one, and the mask head."""

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (N, C, rows, columns) to (N, classes or 1, rows, columns) mask logits, and the mask head's input."""
        seen = self.shared_head(pooled)
        return self.head(seen), seen


class MaskScoring(nn.Module):
    """Predicts the quality of each mask with a traced `MaskIoUHead`."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, seen: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Predict factors of the scores.

        Args:
            seen: (N, C, rows, columns) float32, the mask head's input.
            logits: (N, rows, columns) float32 of the masks.
            labels: (N,) int64.

        Returns:
            (N,) float32.
        """
        quality: Tensor = self.head(seen, logits)
        return quality.gather(1, labels[:, None])[:, 0]


class MaskTwoStagePostprocess(TwoStagePostprocess):
    """From the network's maps to detections with masks.

    Args:
        detector: MMDetection's two-stage detector.
        stages: of `BoxStage`, in their order.
        mask_heads: the traced mask head of each stage.
        extractors: the RoI extractor of each mask head.
        scoring: of masks; None where the detector has none.
    """

    def __init__(
        self,
        detector: Any,
        stages: list[BoxStage],
        mask_heads: list[nn.Module],
        extractors: list[Any],
        scoring: MaskScoring | None,
    ) -> None:
        super().__init__(detector, stages)
        roi_head = detector.roi_head
        self.mask_heads = nn.ModuleList(mask_heads)
        self.mask_poolings = nn.ModuleList(RoiPooling(extractor) for extractor in extractors)
        self.scoring = scoring
        self.class_agnostic = bool(listed(roi_head.mask_head)[-1].class_agnostic)
        self.mask_thr = float(roi_head.test_cfg.mask_thr_binary)

    def forward(  # type: ignore[override]
        self, maps: list[Tensor], clip: Size, scale_factor: Scale, image_size: Size
    ) -> FoundMasks:
        """See `Family.postprocess`; `maps` are those of `TwoStagePostprocess`."""
        # Where there are masks, MMDetection suppresses boxes in pixels of the network's input and scales them last.
        boxes, scores, labels = self.detect(maps, clip, (1.0, 1.0))
        probabilities, factors = self._masks(maps[: self.num_features], boxes, labels)
        boxes = divide_to_image(boxes, scale_factor)
        masks = paste_masks(probabilities, boxes, image_size, self.mask_thr)
        if self.scoring is None:
            return boxes, scores, labels, masks
        scores, order = (scores * factors).sort(descending=True)
        return boxes[order], scores, labels[order], masks[order]

    def _masks(self, features: list[Tensor], boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The (N, rows, columns) mean probabilities over the stages, and the (N,) factors of the scores, if any."""
        total = torch.zeros(1, dtype=boxes.dtype, device=boxes.device)
        factors = total
        num_stages = len(self.mask_heads)
        for pooling, head in zip(self.mask_poolings, self.mask_heads):  # noqa: B905 (a script has no strict)
            logits, seen = head(pooling(features, boxes))
            if not self.class_agnostic:
                logits = logits[torch.arange(labels.size(0), device=labels.device), labels][:, None]
            if self.scoring is not None:
                factors = self.scoring(seen, logits[:, 0], labels)
            total = total + logits[:, 0].sigmoid()
        return total / float(num_stages), factors


class MaskTwoStageFamily(TwoStageFamily):
    """Mask R-CNN and similar detectors."""

    name = "two-stage with FCNMaskHeads (Mask R-CNN, Cascade Mask R-CNN, Mask Scoring R-CNN)"
    gives_masks = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.roi_heads import CascadeRoIHead, MaskScoringRoIHead, StandardRoIHead

        roi_head = getattr(detector, "roi_head", None)
        if getattr(detector, "rpn_head", None) is None or roi_head is None or not getattr(roi_head, "with_mask", False):
            return ["it has no rpn_head with a roi_head that gives masks"]
        reasons = rpn_refusals(detector.rpn_head) + roi_head_refusals(roi_head)
        known = (StandardRoIHead, CascadeRoIHead, MaskScoringRoIHead)
        own = min((inherits_unchanged(roi_head, base, ("predict_mask", "_mask_forward")) for base in known), key=len)
        methods = ("forward", "predict_by_feat", "_predict_by_feat_single")
        return list(dict.fromkeys([*reasons, *own, *mask_head_refusals(roi_head, methods)]))

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the heads are traced on random RoIs."""
        roi_head, num_channels = detector.roi_head, outputs[0].size(1)
        shared = shared_head(roi_head)
        heads, extractors = [], listed(roi_head.mask_roi_extractor)
        for extractor, head in zip(extractors, listed(roi_head.mask_head), strict=True):
            pooled = example_rois(extractor, num_channels)
            heads.append(trace(MaskHead(head, shared), pooled))
        scoring = None
        if hasattr(roi_head, "mask_iou_head"):
            logits, seen = heads[-1](pooled)
            scoring = MaskScoring(trace(roi_head.mask_iou_head, (seen, logits[:, 0])))
        return MaskTwoStagePostprocess(detector, build_stages(roi_head, num_channels), heads, extractors, scoring)


def mask_head_refusals(roi_head: Any, methods: Sequence[str]) -> list[str]:
    """Why the mask heads and extractors of an RoI head cannot be exported; empty where they can.

    Args:
        roi_head: MMDetection's RoI head.
        methods: methods of FCNMaskHead that its mask heads must not override.
    """
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead

    reasons = []
    for head in listed(roi_head.mask_head):
        reasons += inherits_unchanged(head, FCNMaskHead, methods)
    for extractor in listed(roi_head.mask_roi_extractor):
        reasons += pooling_refusals(extractor)
    return reasons
