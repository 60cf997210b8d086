"""Hybrid Task Cascade without its semantic branch: mask heads that hand their features on to the next.

Boxes are those of a cascade (`two_stage`), masks are pasted as in `mask_two_stage`. Traced besides: the chain of heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.family import Family, inherits_unchanged
from vision_research.deploy.families.mask_two_stage import MaskTwoStagePostprocess, NoScoring, mask_head_refusals
from vision_research.deploy.families.two_stage import TwoStageFamily, build_stages, part_refusals, rpn_refusals
from vision_research.deploy.tracing import trace


class MaskHeadChain(nn.Module):
    """The mask heads of all stages on the same RoIs, of which MMDetection's tests take the last alone.

    Args:
        heads: MMDetection's HTCMaskHeads.
        hands_on: whether each head sees the features of the one before.
    """

    def __init__(self, heads: Any, hands_on: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads if hands_on else heads[-1:])

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From (N, C, rows, columns) to (N, classes or 1, rows, columns) mask logits, and what the heads saw."""
        logits, seen = self.heads[0](pooled, None)
        for head in self.heads[1:]:
            logits, seen = head(pooled, seen)
        return logits, pooled


class HtcFamily(Family):
    """HTC."""

    name = "HybridTaskCascadeRoIHead without a semantic branch (HTC)"
    gives_masks = True

    def refusals(self, detector: Any) -> list[str]:
        """Why this detector is not one of the family; empty where it is."""
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

    def network(self, detector: Any) -> nn.Module:
        """The part that is traced."""
        return TwoStageFamily().network(detector)

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """The part that is scripted; the heads in it are traced on random RoIs."""
        roi_head, num_channels = detector.roi_head, outputs[0].size(1)
        extractor = roi_head.mask_roi_extractor[-1]
        pooled = torch.rand(3, num_channels, *(int(side) for side in extractor.roi_layers[0].output_size))
        chain = trace(MaskHeadChain(roi_head.mask_head, bool(roi_head.mask_info_flow)), pooled)
        stages = build_stages(roi_head, num_channels)
        return MaskTwoStagePostprocess(detector, stages, [chain], [extractor], NoScoring())

    def test_cfg(self, detector: Any) -> Any:
        """Where the final score threshold and count are set."""
        return detector.roi_head.test_cfg
