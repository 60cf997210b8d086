"""PAA: dense heads whose scores are geometric means, and whose boxes are averaged with overlapping candidates.

Differs from `dense` in that every class of a chosen prior stays a candidate, and in the voting after suppression.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.family import BoxHeadFamily, Found, Scale, Size
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import MulticlassNms, divide_to_image


class PaaPostprocess(nn.Module):
    """`PAAHead.predict_by_feat` for one image."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.priors = build_priors(head.prior_generator)
        self.decoder = build_decoder(head.bbox_coder)
        self.num_levels = len(self.priors)
        self.num_channels = int(head.cls_out_channels)
        self.votes = bool(head.with_score_voting)
        self.score_thr = float(head.test_cfg.score_thr)
        self.nms_pre = int(head.test_cfg.get("nms_pre", -1))
        self.max_per_img = int(head.test_cfg.max_per_img)
        self.select = MulticlassNms(head.test_cfg.nms)

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are class maps of all levels, then box maps, then IoU maps."""
        all_boxes: list[Tensor] = []
        all_scores: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            class_map = maps[level][0]
            scores = class_map.permute(1, 2, 0).reshape(-1, self.num_channels).sigmoid()
            deltas = maps[self.num_levels + level][0].permute(1, 2, 0).reshape(-1, 4)
            factors = maps[2 * self.num_levels + level][0].permute(1, 2, 0).reshape(-1, 1).sigmoid()
            priors = grid(class_map.size(1), class_map.size(2))
            scores = (scores * factors).sqrt()
            # A graph cannot branch on a count; there the slice keeps all where there are fewer.
            is_graph = not torch.jit.is_scripting()  # type: ignore[attr-defined]
            if self.nms_pre > 0 and (is_graph or self.nms_pre < scores.size(0)):
                most = scores.max(dim=1)[0]
                chosen = most.sort(descending=True)[1][: self.nms_pre] if is_graph else most.topk(self.nms_pre)[1]
                scores, deltas, priors = scores[chosen], deltas[chosen], priors[chosen]
            all_boxes.append(self.decoder(priors, deltas, clip))
            all_scores.append(scores)
        candidates, scores = divide_to_image(torch.cat(all_boxes), scale_factor), torch.cat(all_scores)
        boxes, best, labels = self.select(candidates[:, None], scores, self.score_thr, self.max_per_img)
        if self.votes:
            boxes = self._vote(boxes, labels, candidates, scores)
        return boxes, best, labels

    def _vote(self, boxes: Tensor, labels: Tensor, candidates: Tensor, scores: Tensor) -> Tensor:
        """`score_voting`: each box becomes the mean of the candidates of its class, weighted by overlap and score.

        From (N, 4) boxes and (N,) labels, (R, 4) candidates and their (R, classes) scores, to (N, 4) boxes.
        """
        # Constants of PAAHead.score_voting: the least overlap of a voter, and how fast votes fade with less overlap.
        least_iou, fading = 0.01, 0.025
        overlap = pairwise_iou(boxes, candidates)
        votes = torch.where(scores > self.score_thr, scores, torch.zeros_like(scores)).t()[labels]
        weights = torch.exp(-((1 - overlap) ** 2) / fading) * votes
        weights = torch.where(overlap > least_iou, weights, torch.zeros_like(weights))
        return weights.matmul(candidates) / weights.sum(dim=1, keepdim=True)


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """`bbox_overlaps`: the IoUs of all pairs of boxes, (A, B) float32.

    Args:
        boxes: (A, 4) float32, xyxy.
        others: (B, 4) float32, xyxy.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    other_areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    low = torch.maximum(boxes[:, None, :2], others[:, :2])
    sides = (torch.minimum(boxes[:, None, 2:], others[:, 2:]) - low).clamp(min=0)
    inter = sides[:, :, 0] * sides[:, :, 1]
    return inter / (areas[:, None] + other_areas - inter).clamp(min=1e-6)


class PaaFamily(BoxHeadFamily):
    """PAA."""

    name = "PAAHead (PAA)"
    head = "PAAHead"
    methods = ("predict", "predict_by_feat", "_predict_by_feat_single", "_bbox_post_process", "score_voting")
    decoding = PaaPostprocess
