"""Mask2Former's instances: a transformer whose queries are masks.

Traced are the backbone, and the head with its pixel decoder and transformer. Scripted are the choice of the best
queries and the resizing of their masks to the image.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.detr import FeatureNetwork
from vision_research.deploy.families.family import Family, FoundMasks, Scale, Size, inherits_unchanged
from vision_research.deploy.families.tracing import trace
from vision_research.ops.deformable_attention import replace_deformable_attention
from vision_research.ops.masks import mask_boxes, resize_maps


class PixelDecoder(nn.Module):
    """`MSDeformAttnPixelDecoder.forward` with level sizes that are plain numbers, and a replaced attention."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder
        self.num_outs = int(decoder.num_outs)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """From (1, C, h, w) features, finest first, to mask features and the levels for the queries, coarsest first."""
        decoder = self.decoder
        first = decoder.num_input_levels - decoder.num_encoder_levels
        levels = features[first:][::-1]
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        cells = torch.cat([_flat(conv(level)) for conv, level in zip(decoder.input_convs, levels, strict=True)], dim=1)
        masks = [level.new_zeros((1, *size), dtype=torch.bool) for level, size in zip(levels, sizes, strict=True)]
        positions = [
            _flat(embedding.view(1, -1, 1, 1) + decoder.postional_encoding(mask))
            for embedding, mask in zip(decoder.level_encoding.weight, masks, strict=True)
        ]
        memory = decoder.encoder(
            query=cells,
            query_pos=torch.cat(positions, dim=1),
            key_padding_mask=torch.cat([mask.flatten(1) for mask in masks], dim=1),
            spatial_shapes=sizes,
            reference_points=self._reference_points(cells, sizes),
            level_start_index=None,
            valid_ratios=None,
        ).permute(0, 2, 1)
        outputs, start = [], 0
        for height, width in sizes:
            outputs.append(memory[:, :, start : start + height * width].reshape(1, -1, height, width))
            start = start + height * width
        for index in range(first - 1, -1, -1):
            lateral = decoder.lateral_convs[index](features[index])
            above = F.interpolate(outputs[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
            outputs.append(decoder.output_convs[index](lateral + above))
        return decoder.mask_feature(outputs[-1]), outputs[: self.num_outs]

    def _reference_points(self, cells: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """The centre of each cell as a fraction of the map, (1, cells, levels, 2) float32."""
        points = []
        for (height, width), stride in zip(sizes, self.decoder.strides[::-1], strict=False):
            # MMDetection computes in pixels first, which rounds.
            # Floats from the start: a trace would add 0.5 to integers in double precision.
            columns = torch.arange(width, dtype=cells.dtype, device=cells.device)
            rows = torch.arange(height, dtype=cells.dtype, device=cells.device)
            x, y = (columns + 0.5) * stride / (width * stride), (rows + 0.5) * stride / (height * stride)
            grid = torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1)
            points.append(grid.reshape(-1, 2))
        return torch.cat(points)[None, :, None].expand(1, -1, len(sizes), 2)


def _flat(level: Tensor) -> Tensor:
    """(1, C, h, w) as (1, h * w, C)."""
    return level.flatten(2).permute(0, 2, 1)


class MaskTransformer(nn.Module):
    """`Mask2FormerHead.forward`: from features to classes and mask logits of each query; the head is not changed."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        shared = {id(tensor): tensor for tensor in (*head.parameters(), *head.buffers())}
        self.head = copy.deepcopy(head, shared)
        replace_deformable_attention(self.head)
        self.head.pixel_decoder = PixelDecoder(self.head.pixel_decoder)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """From (1, C, h, w) features to (Q, classes + 1) logits and (Q, h, w) mask logits."""
        # The head does not read its second argument.
        logits, masks = self.head(features, [])
        return logits[-1][0], masks[-1][0]


class MaskQueryPostprocess(nn.Module):
    """`MaskFormerFusionHead.predict`, its instances only, behind the traced transformer."""

    def __init__(self, detector: Any, transformer: nn.Module) -> None:
        super().__init__()
        fusion = detector.panoptic_fusion_head
        self.transformer = transformer
        self.num_classes = int(fusion.num_classes)
        self.num_things = int(fusion.num_things_classes)
        self.score_thr = float(fusion.test_cfg.get("score_thr", 0.0))
        self.max_per_img = int(fusion.test_cfg.get("max_per_image", 100))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale, image_size: Size) -> FoundMasks:
        """See `Family.postprocess`; boxes are those around the masks.

        `maps` are features of all levels, then a map of the size of the network's input.
        """
        logits, mask_logits = self.transformer(maps[:-1])
        scores, indices = F.softmax(logits, dim=-1)[:, :-1].flatten().topk(self.max_per_img)
        labels = indices % self.num_classes
        thing = labels < self.num_things
        scores, labels = scores[thing], labels[thing]
        chosen = mask_logits[torch.div(indices, self.num_classes, rounding_mode="floor")[thing]]
        chosen = resize_maps(chosen, maps[-1].size(2), maps[-1].size(3))[:, : clip[0], : clip[1]]
        chosen = resize_maps(chosen, image_size[0], image_size[1])
        masks = chosen > 0
        sure = (chosen.sigmoid() * masks).flatten(1).sum(1) / (masks.to(chosen.dtype).flatten(1).sum(1) + 1e-6)
        scores, order = (scores * sure).sort(descending=True)
        order = order[scores > self.score_thr]
        return mask_boxes(masks[order]), scores[scores > self.score_thr], labels[order], masks[order]


class MaskQueryFamily(Family):
    """Mask2Former with instances."""

    name = "queries that are masks, with instances switched on (Mask2Former)"
    traced = FeatureNetwork
    predictor = "panoptic_fusion_head"
    gives_masks = True
    adds_threshold = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads import Mask2FormerHead, MaskFormerHead
        from mmdet.models.detectors import MaskFormer
        from mmdet.models.layers import MSDeformAttnPixelDecoder
        from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead

        if not isinstance(detector, MaskFormer):
            return ["it has no panoptic_head"]
        head, fusion = detector.panoptic_head, detector.panoptic_fusion_head
        if not isinstance(head, Mask2FormerHead):
            return [f"its masks come from a {type(head).__name__} and not from a Mask2FormerHead"]
        reasons = [
            *inherits_unchanged(detector, MaskFormer, ("predict", "add_pred_to_datasample")),
            *inherits_unchanged(head, MaskFormerHead, ("predict",)),
            *inherits_unchanged(head, Mask2FormerHead, ("forward",)),
            *inherits_unchanged(head.pixel_decoder, MSDeformAttnPixelDecoder, ("forward",)),
            *inherits_unchanged(fusion, MaskFormerFusionHead, ("predict", "instance_postprocess")),
        ]
        if not fusion.test_cfg.get("instance_on", False):
            reasons.append("it gives no instances: set model.test_cfg.instance_on=true")
        return reasons

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`; the transformer is traced."""
        transformer = trace(MaskTransformer(detector.panoptic_head).eval(), (outputs[:-1],))
        return MaskQueryPostprocess(detector, transformer)

    def num_candidates(self, detector: Any) -> int:
        """Return the number of pairs of a query and a class."""
        return int(detector.panoptic_head.num_queries * detector.panoptic_fusion_head.num_classes)
