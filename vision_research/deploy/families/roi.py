"""The proposals of an RPN, and which RoI extractors can be exported.

Scripted, because the number of proposals depends on the image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.family import Size, inherits_unchanged
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import BoxSelection


class Proposals(BoxSelection):
    """`RPNHead.predict_by_feat` for one image: from the RPN's maps to proposals."""

    def __init__(self, head: Any) -> None:
        super().__init__(head.test_cfg)
        self.priors = build_priors(head.prior_generator)
        self.decoder = build_decoder(head.bbox_coder)
        self.num_channels = int(head.cls_out_channels)
        self.use_sigmoid = bool(head.use_sigmoid_cls)

    def forward(self, class_maps: list[Tensor], box_maps: list[Tensor], clip: Size) -> Tensor:
        """Choose proposals.

        Args:
            class_maps: objectness of each level, (1, channels, h, w) float32.
            box_maps: deltas of each level, (1, 4A, h, w) float32.
            clip: height and width at which boxes are clipped, pixels of the network's input.

        Returns:
            (N, 4) float32, xyxy, pixels of the network's input, best first.
        """
        all_priors: list[Tensor] = []
        all_deltas: list[Tensor] = []
        all_scores: list[Tensor] = []
        all_levels: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            class_map = class_maps[level][0]
            scores = self._scores(class_map)
            deltas = box_maps[level][0].permute(1, 2, 0).reshape(-1, 4)
            priors = grid(class_map.size(1), class_map.size(2))
            # A graph cannot branch on a count; there the slice keeps all where there are fewer.
            is_graph = not torch.jit.is_scripting()  # type: ignore[attr-defined]
            if self.nms_pre > 0 and (is_graph or self.nms_pre < scores.size(0)):
                ranked, order = scores.sort(descending=True)
                chosen = order[: self.nms_pre]
                scores, deltas, priors = ranked[: self.nms_pre], deltas[chosen], priors[chosen]
            all_priors.append(priors)
            all_deltas.append(deltas)
            all_scores.append(scores)
            all_levels.append(torch.full_like(scores, level, dtype=torch.int64))
        boxes = self.decoder(torch.cat(all_priors), torch.cat(all_deltas), clip)
        boxes, scores, levels = self._large(boxes, torch.cat(all_scores), torch.cat(all_levels))
        keep, _ = self.nms(boxes, scores, levels, self.max_per_img)
        return boxes[keep[: self.max_per_img]]

    def _scores(self, class_map: Tensor) -> Tensor:
        logits = class_map.permute(1, 2, 0).reshape(-1, self.num_channels)
        return (logits.sigmoid() if self.use_sigmoid else logits.softmax(-1)[:, :-1]).view(-1)


def pooling_refusals(extractor: Any) -> list[str]:
    """Why the pooling of an RoI extractor cannot be exported; empty where it can."""
    from mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor import SingleRoIExtractor

    reasons = inherits_unchanged(extractor, SingleRoIExtractor, ("forward", "map_roi_levels", "roi_rescale"))
    layers = list(getattr(extractor, "roi_layers", []))
    if any(type(layer).__name__ != "RoIAlign" or layer.pool_mode != "avg" for layer in layers):
        reasons.append("its RoIs are pooled by another layer than RoIAlign with pool_mode='avg'")
    return reasons
