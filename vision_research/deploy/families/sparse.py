"""Sparse R-CNN: a fixed number of learnt proposals, which are refined stage by stage, without suppression.

Traced are backbone and neck, and the head of each stage. Scripted are the pooling of proposals and the choice of the
best.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.detr import FeatureNetwork
from vision_research.deploy.families.family import Family, Found, Scale, Size, inherits_unchanged
from vision_research.deploy.families.roi import pooling_refusals
from vision_research.deploy.families.select import divide_to_image
from vision_research.deploy.families.tracing import trace
from vision_research.ops.roi_pooling import RoiPooling


class InteractiveHead(nn.Module):
    """The DIIHead of a stage, without its output for masks."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, pooled: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classify and refine proposals.

        Args:
            pooled: (P, C, rows, columns) float32.
            queries: (1, P, C) float32.

        Returns:
            (P, channels) logits, (P, 4) deltas and the (1, P, C) queries of the next stage.
        """
        logits, deltas, queries, _ = self.head(pooled, queries)
        return logits[0], deltas[0], queries


class SparsePostprocess(nn.Module):
    """`EmbeddingRPNHead.predict` and `SparseRoIHead.predict_bbox` for one image, with the traced head of each stage."""

    def __init__(self, detector: Any, heads: list[nn.Module]) -> None:
        super().__init__()
        rpn, roi_head = detector.rpn_head, detector.roi_head
        boxes, features = rpn.init_proposal_bboxes.weight, rpn.init_proposal_features.weight
        corners = torch.cat([boxes[:, :2] - 0.5 * boxes[:, 2:], boxes[:, :2] + 0.5 * boxes[:, 2:]], dim=-1)
        self.proposals = nn.Buffer(corners.detach().clone())
        self.queries = nn.Buffer(features.detach().clone()[None])
        self.heads = nn.ModuleList(heads)
        self.poolings = nn.ModuleList(RoiPooling(extractor) for extractor in roi_head.bbox_roi_extractor)
        self.decoders = nn.ModuleList(build_decoder(head.bbox_coder) for head in roi_head.bbox_head)
        self.use_sigmoid = bool(roi_head.bbox_head[-1].loss_cls.use_sigmoid)
        self.num_classes = int(roi_head.bbox_head[-1].num_classes)
        self.score_thr = float(roi_head.test_cfg.get("score_thr", 0.0))
        self.max_per_img = int(roi_head.test_cfg.max_per_img)

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are features of all levels, then a map that is not used."""
        x, y = self.proposals[:, 0::2] * clip[1], self.proposals[:, 1::2] * clip[0]
        boxes = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1)
        queries, logits = self.queries, self.queries
        for head, pooling, decoder in zip(self.heads, self.poolings, self.decoders):  # noqa: B905 (a script has no strict)
            logits, deltas, queries = head(pooling(maps[:-1], boxes), queries)
            boxes = decoder(boxes, deltas, clip)
        scores = logits.sigmoid() if self.use_sigmoid else logits.softmax(-1)[:, :-1]
        scores, indices = scores.flatten().topk(self.max_per_img)
        boxes = divide_to_image(boxes[torch.div(indices, self.num_classes, rounding_mode="floor")], scale_factor)
        above = scores > self.score_thr
        return boxes[above], scores[above], (indices % self.num_classes)[above]


class SparseFamily(Family):
    """Sparse R-CNN."""

    name = "learnt proposals with a SparseRoIHead of DIIHeads (Sparse R-CNN)"
    traced = FeatureNetwork
    predictor = "roi_head"
    adds_threshold = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads import EmbeddingRPNHead
        from mmdet.models.detectors.two_stage import TwoStageDetector
        from mmdet.models.roi_heads import SparseRoIHead, StandardRoIHead
        from mmdet.models.roi_heads.bbox_heads import BBoxHead, DIIHead

        roi_head = getattr(detector, "roi_head", None)
        if not isinstance(roi_head, SparseRoIHead):
            return ["it has no SparseRoIHead"]
        reasons = [
            *inherits_unchanged(detector, TwoStageDetector, ("predict", "extract_feat")),
            *inherits_unchanged(detector.rpn_head, EmbeddingRPNHead, ("predict", "_decode_init_proposals")),
            *inherits_unchanged(roi_head, SparseRoIHead, ("predict_bbox", "_bbox_forward")),
            *inherits_unchanged(roi_head, StandardRoIHead, ("predict",)),
        ]
        for head in roi_head.bbox_head:
            reasons += inherits_unchanged(head, DIIHead, ("forward",))
            reasons += inherits_unchanged(head, BBoxHead, ("refine_bboxes", "regress_by_class"))
        for extractor in roi_head.bbox_roi_extractor:
            reasons += pooling_refusals(extractor)
        if roi_head.with_mask:
            reasons.append("its masks would be lost")
        return list(dict.fromkeys(reasons))

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the heads are traced on random proposals."""
        queries = detector.rpn_head.init_proposal_features.weight.detach()[None]
        heads = []
        for head, extractor in zip(detector.roi_head.bbox_head, detector.roi_head.bbox_roi_extractor, strict=True):
            rows, columns = extractor.roi_layers[0].output_size
            pooled = torch.rand(queries.size(1), outputs[0].size(1), rows, columns)
            heads.append(trace(InteractiveHead(head), (pooled, queries)))
        return SparsePostprocess(detector, heads)

    def num_candidates(self, detector: Any) -> int:
        """Return the number of pairs of a proposal and a class."""
        return int(detector.rpn_head.num_proposals * detector.roi_head.bbox_head[-1].num_classes)
