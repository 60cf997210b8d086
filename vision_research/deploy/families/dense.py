"""Dense detectors: RetinaNet, RTMDet and every head that MMDetection decodes with `BaseDenseHead`'s own methods.

The network up to the head's maps is traced. What follows is scripted, because it depends on the counts of candidates.
Heads that compute boxes from their maps in another way (GFL, TOOD, FoveaBox, RepPoints) differ in one module
(`dense_boxes`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.dense_boxes import find_variant
from vision_research.deploy.families.family import BoxHeadFamily, Found, Scale, Size, inherits_unchanged
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import BoxSelection, to_image


class DensePostprocess(BoxSelection):
    """`BaseDenseHead.predict_by_feat` for one image.

    Args:
        head: MMDetection's dense head.
        with_score_factors: whether the head gives a third map, such as centerness, that scores are multiplied by.
    """

    def __init__(self, head: Any, with_score_factors: bool) -> None:
        super().__init__(head.test_cfg)
        variant = find_variant(head)
        assert variant is not None
        self.priors = build_priors(head.prior_generator)
        self.boxes: Any = variant.boxes(head)
        self.num_levels = len(self.priors)
        self.num_channels = int(head.cls_out_channels)
        self.gives_scores = variant.activates
        self.use_sigmoid = bool(head.use_sigmoid_cls)
        self.with_score_factors = with_score_factors

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are class maps of all levels, then box maps, then score factors."""
        all_priors: list[Tensor] = []
        all_predictions: list[Tensor] = []
        all_scores: list[Tensor] = []
        all_labels: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            class_map = maps[level][0]
            scores = self._activate(class_map.permute(1, 2, 0).reshape(-1, self.num_channels))
            scores, labels, chosen = best_scores(scores, self.score_thr, self.nms_pre)
            if self.with_score_factors:
                factors = maps[2 * self.num_levels + level][0].permute(1, 2, 0).reshape(-1).sigmoid()
                scores = scores * factors[chosen]
            all_priors.append(grid(class_map.size(1), class_map.size(2))[chosen])
            all_predictions.append(self.boxes.predictions(maps[self.num_levels + level][0], level)[chosen])
            all_scores.append(scores)
            all_labels.append(labels)
        boxes = self.boxes(torch.cat(all_priors), torch.cat(all_predictions), clip)
        return self._select(to_image(boxes, scale_factor), torch.cat(all_scores), torch.cat(all_labels))

    def _activate(self, logits: Tensor) -> Tensor:
        if self.gives_scores:
            return logits
        return logits.sigmoid() if self.use_sigmoid else logits.softmax(-1)[:, :-1]


def best_scores(scores: Tensor, score_thr: float, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """`filter_scores_and_topk`: the best scores above a threshold, descending.

    Args:
        scores: (priors, classes) float32.
        score_thr: only scores above it are taken.
        limit: at most that many are taken.

    Returns:
        The (N,) float32 scores, their (N,) int64 labels and the (N,) int64 indices of their priors.
    """
    above = scores > score_thr
    where = torch.nonzero(above)
    ranked, order = scores[above].sort(descending=True)
    num_kept = min(limit, where.size(0))
    chosen = where[order[:num_kept]]
    return ranked[:num_kept], chosen[:, 1], chosen[:, 0]


class DenseFamily(BoxHeadFamily):
    """RetinaNet, RTMDet and similar detectors."""

    name = "dense heads decoded by BaseDenseHead (RTMDet, RetinaNet, FCOS, ATSS, GFL, TOOD, VFNet, SSD)"

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

        head = getattr(detector, "bbox_head", None)
        if not isinstance(head, BaseDenseHead):
            return ["it has no dense bbox_head"]
        reasons = inherits_unchanged(head, BaseDenseHead, ("predict", "predict_by_feat", "_bbox_post_process"))
        if find_variant(head) is None:
            reasons.append(f"{type(head).__name__} has its own _predict_by_feat_single")
        if getattr(getattr(head, "loss_cls", None), "custom_cls_channels", False):
            reasons.append(f"{type(head.loss_cls).__name__} activates the scores itself")
        return reasons

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`."""
        num_levels = len(detector.bbox_head.prior_generator.strides)
        return DensePostprocess(detector.bbox_head, with_score_factors=len(outputs) == 3 * num_levels)
