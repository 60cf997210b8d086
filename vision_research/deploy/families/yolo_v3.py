"""YOLOv3: an anchor head with one map for each level, which holds boxes, objectness and classes.

Differs from `dense` in that candidates of all levels are ranked together, and in a second threshold on the objectness.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.dense import best_scores
from vision_research.deploy.families.family import BoxHeadFamily, Found, Scale, Size
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import BoxSelection, to_image


class YoloV3Postprocess(BoxSelection):
    """`YOLOV3Head.predict_by_feat` for one image."""

    def __init__(self, head: Any) -> None:
        super().__init__(head.test_cfg)
        if type(head.bbox_coder).__name__ != "YOLOBBoxCoder":
            raise ExportError(f"Boxes of {type(head.bbox_coder).__name__} cannot be exported for a YOLOV3Head.")
        self.priors = build_priors(head.prior_generator)
        self.strides = [float(stride) for stride in head.featmap_strides]
        self.num_values = int(head.num_attrib)
        self.conf_thr = float(head.test_cfg.get("conf_thr", -1))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are (1, anchors * (5 + classes), h, w), and boxes are not clipped."""
        all_boxes: list[Tensor] = []
        all_values: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            values = maps[level][0].permute(1, 2, 0).reshape(-1, self.num_values)
            anchors = grid(maps[level].size(2), maps[level].size(3))
            all_boxes.append(self._decode(anchors, values[:, :4], self.strides[level]))
            all_values.append(values[:, 4:].sigmoid())
        boxes, values = torch.cat(all_boxes), torch.cat(all_values)
        if self.conf_thr > 0:
            confident = values[:, 0] >= self.conf_thr
            boxes, values = boxes[confident], values[confident]
        scores, labels, chosen = best_scores(values[:, 1:], self.score_thr, self.nms_pre)
        return self._select(to_image(boxes[chosen], scale_factor), scores * values[chosen, 0], labels)

    def _decode(self, anchors: Tensor, predictions: Tensor, stride: float) -> Tensor:
        """`YOLOBBoxCoder.decode`: a shift of the centre within its cell, and log-scales of the anchor."""
        centres = (anchors[:, :2] + anchors[:, 2:]) * 0.5 + (predictions[:, :2].sigmoid() - 0.5) * stride
        halves = (anchors[:, 2:] - anchors[:, :2]) * 0.5 * predictions[:, 2:].exp()
        return torch.cat([centres - halves, centres + halves], dim=-1)


class YoloV3Family(BoxHeadFamily):
    """YOLOv3."""

    name = "YOLOV3Head (YOLOv3)"
    head = "YOLOV3Head"
    methods = ("predict", "predict_by_feat", "_bbox_post_process")
    decoding = YoloV3Postprocess
