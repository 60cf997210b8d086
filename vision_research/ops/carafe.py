"""CARAFE: a map is enlarged, and each new cell is a weighted sum of the cells around its source.

Wang et al., CARAFE: Content-Aware ReAssembly of FEatures, ICCV 2019. mmcv has it for GPUs alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def carafe(feature: Tensor, masks: Tensor, kernel_size: int, groups: int, scale: int) -> Tensor:
    """Enlarge a map.

    Args:
        feature: (B, C, H, W).
        masks: (B, groups * kernel_size^2, H * scale, W * scale), the weights of the cells around each source.
        kernel_size: side of the square of cells, odd.
        groups: number of groups of channels with their own weights.
        scale: whole factor of height and width.

    Returns:
        (B, C, H * scale, W * scale).
    """
    batch, channels, height, width = feature.shape
    padded = F.pad(feature, [kernel_size // 2] * 4)
    # A new cell is (row, y, column, x): its source is (row, column).
    weights = masks.reshape(batch, groups, 1, kernel_size**2, height, scale, width, scale)
    total = feature.new_zeros(batch, groups, channels // groups, height, scale, width, scale)
    for tap in range(kernel_size**2):
        down, right = divmod(tap, kernel_size)
        source = padded[:, :, down : down + height, right : right + width]
        source = source.reshape(batch, groups, channels // groups, height, 1, width, 1)
        total = torch.addcmul(total, source, weights[:, :, :, tap])
    return total.reshape(batch, channels, height * scale, width * scale)
