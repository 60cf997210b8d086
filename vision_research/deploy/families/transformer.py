"""The transformer of a query detector as one module: from features and a padding mask to classes and boxes.

Runs MMDetection's own encoder, decoder and head. Padding masks and level sizes are computed from the features here,
because MMDetection takes them from an image's meta data and from tensors, which a trace would turn into constants.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.ops.deformable_attention import replace_deformable_attention


class QueryTransformer(nn.Module):
    """`DetectionTransformer.forward_transformer` and the head's `forward`, for one image.

    Args:
        detector: MMDetection's detector; it is not changed.
    """

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


def padding_mask(tensor: Tensor, clip: tuple[int, int]) -> Tensor:
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
