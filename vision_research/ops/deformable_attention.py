"""Multi-scale deformable attention in plain torch, with the sizes of the levels as plain numbers.

`mmcv.ops.MultiScaleDeformableAttention` reads these sizes from a tensor, which neither a trace nor `torch.export`
supports for input of another size. The arithmetic is that of mmcv's CPU path.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Replaces a module of mmcv, with its layers and its arguments."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.num_heads = int(plain.num_heads)
        self.num_levels = int(plain.num_levels)
        self.num_points = int(plain.num_points)
        self.batch_first = bool(plain.batch_first)
        self.sampling_offsets = plain.sampling_offsets
        self.attention_weights = plain.attention_weights
        self.value_proj = plain.value_proj
        self.output_proj = plain.output_proj

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        reference_points: Tensor | None = None,
        spatial_shapes: Any = (),
        **unused: Any,
    ) -> Tensor:
        """Compute the attention.

        Args:
            query: (1, Q, C) float32, or (Q, 1, C) if mmcv's module is not batch first; also for value and identity.
            key: not used, as in mmcv.
            value: values of all cells, level by level; None is the query.
            identity: is added to the result; None is the query.
            query_pos: is added to the query.
            key_padding_mask: (1, cells) bool, True for cells whose value is ignored.
            reference_points: (1, Q, levels, 2) points or (1, Q, levels, 4) boxes (cx, cy, w, h), relative to the map.
            spatial_shapes: height and width of each level.
            **unused: arguments that mmcv's module ignores too.

        Returns:
            A tensor of the shape of `query`.
        """
        assert reference_points is not None
        value, identity = query if value is None else value, query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        value = self.value_proj(value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask[..., None], 0.0)
        weights = self.attention_weights(query).view(1, -1, self.num_heads, self.num_levels * self.num_points)
        locations = self._locations(query, reference_points, spatial_shapes)
        gathered = self._gather(value[0], locations, weights.softmax(-1)[0], spatial_shapes)
        output: Tensor = self.output_proj(gathered[None])
        return (output if self.batch_first else output.transpose(0, 1)) + identity

    def _locations(self, query: Tensor, reference_points: Tensor, spatial_shapes: Any) -> list[Tensor]:
        """Return the sampling points of each level: (heads, Q, points, 2) float32, x and y, -1 to 1 over the map."""
        offsets = self.sampling_offsets(query).view(-1, self.num_heads, self.num_levels, self.num_points, 2)
        locations = []
        for level, (height, width) in enumerate(spatial_shapes):
            offset, reference = offsets[:, :, level], reference_points[0, :, level, None, None]
            if reference_points.shape[-1] == 2:
                shift = torch.stack([offset[..., 0] / width, offset[..., 1] / height], dim=-1)
            else:
                shift = offset / self.num_points * reference[..., 2:] * 0.5
            locations.append((2 * (reference[..., :2] + shift) - 1).transpose(0, 1))
        return locations

    def _gather(self, value: Tensor, locations: list[Tensor], weights: Tensor, spatial_shapes: Any) -> Tensor:
        """Sum (cells, C) values at the points with (Q, heads, levels * points) weights: (Q, C)."""
        heads = value.transpose(0, 1).reshape(self.num_heads, -1, value.shape[0])
        samples, start = [], 0
        for (height, width), where in zip(spatial_shapes, locations, strict=True):
            stop = start + height * width
            level = heads[:, :, start:stop].reshape(self.num_heads, -1, height, width)
            samples.append(F.grid_sample(level, where, mode="bilinear", padding_mode="zeros", align_corners=False))
            start = stop
        weighted = torch.stack(samples, dim=-2).flatten(-2) * weights.transpose(0, 1)[:, None]
        return weighted.sum(-1).reshape(value.shape[1], -1).transpose(0, 1).contiguous()


def replace_deformable_attention(module: nn.Module) -> None:
    """Replace every deformable attention of mmcv in a module, in place; pass a copy."""
    from mmcv.ops import MultiScaleDeformableAttention

    for name, child in list(module.named_children()):
        if type(child).__name__ == MultiScaleDeformableAttention.__name__:
            setattr(module, name, DeformableAttention(child))
        else:
            replace_deformable_attention(child)
