"""YOLOX: an anchor-free head with a decoding of its own, and an objectness map beside the classes.

Differs from `dense` in that only the best class of each prior is kept, and in that a score equal to the threshold is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.families.family import BoxHeadFamily, Found, Scale, Size
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import build_nms, divide_to_image


class YoloxPostprocess(nn.Module):
    """`YOLOXHead.predict_by_feat` for one image."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.priors = build_priors(head.prior_generator)
        self.strides = [(float(stride[0]), float(stride[1])) for stride in head.prior_generator.strides]
        self.num_channels = int(head.cls_out_channels)
        self.score_thr = float(head.test_cfg.score_thr)
        self.nms = build_nms(head.test_cfg.nms)

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; boxes are not clipped.

        `maps` are class maps of all levels, then box maps, then objectness maps.
        """
        num_levels = len(self.strides)
        class_scores = _flatten(maps[:num_levels], self.num_channels).sigmoid()
        objectness = _flatten(maps[2 * num_levels :], 1).view(-1).sigmoid()
        boxes = self._decode(maps[num_levels : 2 * num_levels])
        best, labels = torch.max(class_scores, 1)
        valid = objectness * best >= self.score_thr
        scores, boxes, labels = best[valid] * objectness[valid], boxes[valid], labels[valid]
        boxes = divide_to_image(boxes, scale_factor)
        keep, scores = self.nms(boxes, scores, labels, -1)
        return boxes[keep], scores, labels[keep]

    def _decode(self, maps: list[Tensor]) -> Tensor:
        deltas = _flatten(maps, 4)
        points: list[Tensor] = []
        strides: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            centres = grid(maps[level].size(2), maps[level].size(3))
            x, y = self.strides[level]
            points.append(centres)
            strides.append(torch.tensor([x, y], dtype=centres.dtype, device=centres.device).expand_as(centres))
        stride = torch.cat(strides)
        centre, size = deltas[:, :2] * stride + torch.cat(points), deltas[:, 2:].exp() * stride
        return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def _flatten(maps: list[Tensor], channels: int) -> Tensor:
    """All levels of (1, channels, h, w) maps as (priors, channels)."""
    flat = [level[0].permute(1, 2, 0).reshape(-1, channels) for level in maps]
    return torch.cat(flat)


class YoloxFamily(BoxHeadFamily):
    """YOLOX."""

    name = "YOLOXHead (YOLOX)"
    head = "YOLOXHead"
    methods = ("predict", "predict_by_feat", "_bbox_decode", "_bbox_post_process")
    decoding = YoloxPostprocess
