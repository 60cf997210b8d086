"""Convolution at chosen positions of a map alone (guided anchoring). mmcv has it for GPUs alone."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def masked_columns(
    feature: Tensor, rows: Tensor, columns: Tensor, kernel: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Return what the kernel covers at each chosen position, (C * taps, P).

    Args:
        feature: (1, C, H, W).
        rows: (P,) int64 row of each position.
        columns: (P,) int64 column of each position.
        kernel: rows and columns of taps.
        padding: cells added around the map (down, right).
    """
    padded = F.pad(feature, [padding[1], padding[1], padding[0], padding[0]])[0]
    windows = padded.unfold(1, kernel[0], 1).unfold(2, kernel[1], 1)
    return windows[:, rows, columns].permute(0, 2, 3, 1).reshape(-1, rows.numel())
