"""Hybrid Task Cascade without its semantic branch: each mask head passes its features on to the next.

Boxes are computed as in a cascade (`two_stage`), masks are pasted as in `mask_two_stage`. The chain of mask heads is
traced.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vision_research.deploy.families.box_stages import example_rois
from vision_research.deploy.families.family import inherits_unchanged
from vision_research.deploy.families.mask_two_stage import MaskTwoStagePostprocess, mask_head_refusals
from vision_research.deploy.families.tracing import trace
from vision_research.deploy.families.two_stage import TwoStageFamily, build_stages, part_refusals, rpn_refusals


class MaskHeadChain(nn.Module):
    """The mask heads of all stages on the same RoIs, where each head gets the features of the one before.

    In tests MMDetection uses the masks of the last one only.
    """

    def __init__(self, heads: Any, hands_on: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads if hands_on else heads[-1:])

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (N, C, rows, columns) to (N, classes or 1, rows, columns) mask logits, and the input again."""
        logits, seen = self.heads[0](pooled, None)
        for head in self.heads[1:]:
            logits, seen = head(pooled, seen)
        return logits, pooled


class HtcFamily(TwoStageFamily):
    """HTC."""

    name = "HybridTaskCascadeRoIHead without a semantic branch (HTC)"
    gives_masks = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.roi_heads import CascadeRoIHead, HybridTaskCascadeRoIHead

        roi_head = getattr(detector, "roi_head", None)
        if not isinstance(roi_head, HybridTaskCascadeRoIHead):
            return ["its roi_head is no HybridTaskCascadeRoIHead"]
        if roi_head.with_semantic or not roi_head.with_mask:
            return ["it has a semantic branch, which would be lost, or no masks"]
        own = ("predict", "predict_mask", "_bbox_forward", "_mask_forward")
        return [
            *rpn_refusals(detector.rpn_head),
            *inherits_unchanged(roi_head, HybridTaskCascadeRoIHead, own),
            *inherits_unchanged(roi_head, CascadeRoIHead, ("predict_bbox", "_refine_roi")),
            *part_refusals(roi_head),
            *mask_head_refusals(roi_head, ("predict_by_feat", "_predict_by_feat_single")),
        ]

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the heads are traced on random RoIs."""
        roi_head, num_channels = detector.roi_head, outputs[0].size(1)
        extractor = roi_head.mask_roi_extractor[-1]
        chain = MaskHeadChain(roi_head.mask_head, bool(roi_head.mask_info_flow))
        traced = trace(chain, example_rois(extractor, num_channels))
        return MaskTwoStagePostprocess(detector, build_stages(roi_head, num_channels), [traced], [extractor], None)
