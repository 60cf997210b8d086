"""Masks, eight pixels to the byte: how they wait for their comparison, a hundred to an image.

Imports torch alone, for the process that proves what an artifact needs imports this too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_BITS = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8)


def pack_masks(masks: Tensor) -> Tensor:
    """(N, H, W) bool to (N, ceil(H * W / 8)) uint8."""
    flat = masks.flatten(1).to(torch.uint8)
    padded = F.pad(flat, [0, -flat.size(1) % 8])
    return (padded.view(flat.size(0), (flat.size(1) + 7) // 8, 8) * _BITS).sum(-1, dtype=torch.uint8)


def unpack_masks(packed: Tensor, height: int, width: int) -> Tensor:
    """What `pack_masks` packed: (N, height, width) bool."""
    flat = (packed[:, :, None] & _BITS).ne(0).flatten(1)
    return flat[:, : height * width].view(packed.size(0), height, width)
