"""Query detectors related to DETR: DETR, Conditional DETR, DAB-DETR, Deformable DETR, DINO.

Traced are backbone and neck, and the transformer with its head. Scripted are the padding mask, which depends on the
image's size within the tensor, and the choice of the best scores. Nothing is suppressed. Padding masks and level sizes
are computed from the features, because MMDetection takes them from an image's meta data and from tensors, which a trace
would turn into constants.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.family import Family, Found, Scale, Size, inherits_unchanged
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.tracing import trace
from vision_research.ops.deformable_attention import replace_deformable_attention


class FeatureNetwork(nn.Module):
    """Backbone and neck of a detector as one module from a tensor to features, and the tensor's size."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.neck = detector.neck if detector.with_neck else nn.Identity()

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the features of all levels, and (B, 1, H, W), of which only the size is used."""
        with plain_layers():
            features = self.neck(self.backbone(tensor))
        return [*features, tensor[:, :1]]


class QueryTransformer(nn.Module):
    """`DetectionTransformer.forward_transformer` and the head's `forward`, for one image; the detector is a copy."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        # The layers are copied, since some are replaced; their weights are shared, and the backbone is left out.
        kept = {id(tensor): tensor for tensor in (*detector.parameters(), *detector.buffers())}
        left_out = {id(getattr(detector, name, None)): nn.Identity() for name in ("backbone", "neck")}
        self.detector = copy.deepcopy(detector, {**kept, **left_out})
        replace_deformable_attention(self.detector)
        self.deformable = hasattr(detector, "level_embed")

    def forward(self, features: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Detect objects.

        Args:
            features: (1, C, h, w) float32 of each level.
            mask: (1, H, W) float32, 1 where the network's input is padding.

        Returns:
            Class logits (Q, channels) float32; boxes (Q, 4) float32, cx, cy, w, h, as fractions of the image.
        """
        masks = [F.interpolate(mask[None], size=feature.shape[-2:])[0].to(torch.bool) for feature in features]
        encoder_inputs, decoder_inputs = (self._levels if self.deformable else self._single)(features, masks)
        encoded = self.detector.forward_encoder(**encoder_inputs)
        queries, head_inputs = self.detector.pre_decoder(**encoded)
        head_inputs.update(self.detector.forward_decoder(**{**decoder_inputs, **queries}))
        logits, boxes = self.detector.bbox_head(**head_inputs)
        return logits[-1, 0], boxes[-1, 0]

    def _single(self, features: list[Tensor], masks: list[Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
        """`DETR.pre_transformer`: uses the last level only."""
        position = self.detector.positional_encoding(masks[-1]).flatten(2).permute(0, 2, 1)
        flat_mask = masks[-1].flatten(1)
        return (
            {"feat": features[-1].flatten(2).permute(0, 2, 1), "feat_mask": flat_mask, "feat_pos": position},
            {"memory_mask": flat_mask, "memory_pos": position},
        )

    def _levels(self, features: list[Tensor], masks: list[Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
        """`DeformableDETR.pre_transformer`: concatenates all levels."""
        positions = [
            self.detector.positional_encoding(mask).flatten(2).permute(0, 2, 1) + level.view(1, 1, -1)
            for mask, level in zip(masks, self.detector.level_embed, strict=True)
        ]
        shared = {
            "spatial_shapes": [(feature.shape[2], feature.shape[3]) for feature in features],
            # Only mmcv's operator for GPUs reads it.
            "level_start_index": None,
            "valid_ratios": torch.stack([self.detector.get_valid_ratio(mask) for mask in masks], 1),
        }
        flat_mask = torch.cat([mask.flatten(1) for mask in masks], 1)
        flat = torch.cat([feature.flatten(2).permute(0, 2, 1) for feature in features], 1)
        return (
            {"feat": flat, "feat_mask": flat_mask, "feat_pos": torch.cat(positions, 1), **shared},
            {"memory_mask": flat_mask, **shared},
        )


def padding_mask(tensor: Tensor, clip: Size) -> Tensor:
    """Mark where a network's input is padding.

    Args:
        tensor: (1, C, H, W), of which only the size is used.
        clip: height and width of the image in it, top left.

    Returns:
        (1, H, W) float32: 0 on the image, 1 elsewhere.
    """
    below = torch.arange(tensor.size(2), device=tensor.device) >= clip[0]
    beside = torch.arange(tensor.size(3), device=tensor.device) >= clip[1]
    return (below[:, None] | beside[None, :])[None].to(tensor.dtype)


class DetrPostprocess(nn.Module):
    """From features to detections: the traced transformer, and `DETRHead._predict_by_feat_single`."""

    def __init__(self, head: Any, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.use_sigmoid = bool(head.loss_cls.use_sigmoid)
        self.num_classes = int(head.num_classes)
        config = head.test_cfg or {}
        self.score_thr = float(config.get("score_thr", 0.0))
        self.max_per_img = int(config.get("max_per_img", -1))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; `maps` are features of all levels, and a map of the size of the network's input."""
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
    traced = FeatureNetwork
    adds_threshold = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads import ConditionalDETRHead, DABDETRHead, DeformableDETRHead, DETRHead
        from mmdet.models.detectors import DABDETR, DETR, DINO, ConditionalDETR, DeformableDETR
        from mmdet.models.detectors.base_detr import DetectionTransformer

        if not isinstance(detector, DetectionTransformer):
            return ["it is no DetectionTransformer"]
        heads = (DETRHead, ConditionalDETRHead, DABDETRHead, DeformableDETRHead)
        known = (DETR, ConditionalDETR, DABDETR, DeformableDETR, DINO)
        return [
            *inherits_unchanged(detector, DetectionTransformer, ("predict", "extract_feat")),
            *_nearest(detector, (DETR, DeformableDETR, DINO), ("pre_transformer", "forward_transformer")),
            *_nearest(detector.bbox_head, heads, ("predict", "predict_by_feat", "_predict_by_feat_single")),
            # Detectors with text encoders or a selection of distinct queries override these methods.
            *_nearest(detector, known, ("forward_encoder", "pre_decoder", "forward_decoder")),
        ]

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the transformer is traced on an input with some padding."""
        height, width = outputs[-1].shape[-2:]
        mask = padding_mask(outputs[-1], (height - height // 8, width))
        transformer = trace(QueryTransformer(detector).eval(), (outputs[:-1], mask))
        return DetrPostprocess(detector.bbox_head, transformer)

    def num_candidates(self, detector: Any) -> int:
        """Return the number of queries, times the number of classes where each class is scored by itself."""
        head = detector.bbox_head
        return int(detector.num_queries * (head.num_classes if head.loss_cls.use_sigmoid else 1))


def _nearest(instance: Any, bases: Sequence[type], methods: Sequence[str]) -> list[str]:
    """The methods that an object overrides, compared with the one of several classes where they are fewest."""
    return min((inherits_unchanged(instance, base, methods) for base in bases), key=len)
