"""Query detectors related to DETR: DETR, Conditional DETR, DAB-DETR, Deformable DETR, DINO.

Traced are backbone and neck, and the transformer with its head. Scripted are the padding mask, which depends on the
image's size within the tensor, and the choice of the best scores. Nothing is suppressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.family import Family, inherits_unchanged
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.tracing import trace
from vision_research.deploy.families.transformer import QueryTransformer, padding_mask


class FeatureNetwork(nn.Module):
    """Backbone and neck as one module from a tensor to features, and the tensor's size.

    Args:
        detector: MMDetection's detector.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.neck = detector.neck if detector.with_neck else nn.Identity()

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the features of all levels, and (B, 1, H, W), of which only the size is used."""
        with plain_layers():
            features = self.neck(self.backbone(tensor))
        return [*features, tensor[:, :1]]


class DetrPostprocess(nn.Module):
    """From features to detections: the transformer, and `DETRHead._predict_by_feat_single`.

    Args:
        head: MMDetection's head.
        transformer: the traced transformer.
    """

    def __init__(self, head: Any, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.use_sigmoid = bool(head.loss_cls.use_sigmoid)
        self.num_classes = int(head.num_classes)
        config = head.test_cfg or {}
        self.score_thr = float(config.get("score_thr", 0.0))
        self.max_per_img = int(config.get("max_per_img", -1))

    def forward(
        self, maps: list[Tensor], clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            maps: features of all levels, then a map of the size of the network's input.
            clip: height and width of the image in the network's input.
            scale_factor: pixels of the network's input per pixel of the image (x, y).

        Returns:
            Boxes (N, 4) float32, xyxy, pixels of the image; scores (N,) float32, descending; labels (N,) int64.
        """
        logits, boxes = self.transformer(maps[:-1], padding_mask(maps[-1], clip))
        scores, labels, chosen = self._best(logits)
        centre, size = boxes[chosen, :2], boxes[chosen, 2:]
        height, width = clip
        x = torch.stack([centre[:, 0] - 0.5 * size[:, 0], centre[:, 0] + 0.5 * size[:, 0]], dim=-1) * width
        y = torch.stack([centre[:, 1] - 0.5 * size[:, 1], centre[:, 1] + 0.5 * size[:, 1]], dim=-1) * height
        x, y = x.clamp(min=0, max=width) / scale_factor[0], y.clamp(min=0, max=height) / scale_factor[1]
        above = scores > self.score_thr
        return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1)[above], scores[above], labels[above]

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best scores, their labels, and the indices of their queries."""
        num_best = self.max_per_img if self.max_per_img >= 0 else logits.size(0)
        if self.use_sigmoid:
            scores, indices = logits.sigmoid().view(-1).topk(num_best)
            return scores, indices % self.num_classes, torch.div(indices, self.num_classes, rounding_mode="floor")
        scores, labels = F.softmax(logits, dim=-1)[:, :-1].max(-1)
        scores, chosen = scores.topk(num_best)
        return scores, labels[chosen], chosen


class DetrFamily(Family):
    """DETR and the detectors derived from it."""

    name = "query detectors on MMDetection's DetectionTransformer (DETR, Deformable DETR, DAB-DETR, DINO)"
    adds_threshold = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads import ConditionalDETRHead, DABDETRHead, DeformableDETRHead, DETRHead
        from mmdet.models.detectors import DETR, DINO, DeformableDETR
        from mmdet.models.detectors.base_detr import DetectionTransformer

        if not isinstance(detector, DetectionTransformer):
            return ["it is no DetectionTransformer"]
        heads = (DETRHead, ConditionalDETRHead, DABDETRHead, DeformableDETRHead)
        return [
            *inherits_unchanged(detector, DetectionTransformer, ("predict", "extract_feat")),
            *_nearest(detector, (DETR, DeformableDETR, DINO), ("pre_transformer", "forward_transformer")),
            *_nearest(detector.bbox_head, heads, ("predict", "predict_by_feat", "_predict_by_feat_single")),
            *_layer_refusals(detector),
        ]

    def network(self, detector: Any) -> nn.Module:
        """See `Family.network`."""
        return FeatureNetwork(detector)

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the transformer is traced on an input with some padding."""
        height, width = outputs[-1].shape[-2:]
        mask = padding_mask(outputs[-1], (height - height // 8, width))
        transformer = trace(QueryTransformer(detector).eval(), (outputs[:-1], mask))
        return DetrPostprocess(detector.bbox_head, transformer)

    def test_cfg(self, detector: Any) -> Any:
        """See `Family.test_cfg`."""
        return detector.bbox_head.test_cfg

    def num_candidates(self, detector: Any) -> int:
        """Return the number of queries, times the number of classes where each class is scored by itself."""
        head = detector.bbox_head
        return int(detector.num_queries * (head.num_classes if head.loss_cls.use_sigmoid else 1))


def _nearest(instance: Any, bases: Sequence[type], methods: Sequence[str]) -> list[str]:
    """The methods that an object overrides, compared with the one of several classes where they are fewest."""
    return min((inherits_unchanged(instance, base, methods) for base in bases), key=len)


def _layer_refusals(detector: Any) -> list[str]:
    # Detectors with text encoders or a selection of distinct queries override these methods.
    from mmdet.models.detectors import DABDETR, DETR, DINO, ConditionalDETR, DeformableDETR

    known = (DETR, ConditionalDETR, DABDETR, DeformableDETR, DINO)
    return _nearest(detector, known, ("forward_encoder", "pre_decoder", "forward_decoder"))
