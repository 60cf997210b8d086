"""Libra R-CNN's balanced pyramid for graphs.

No format has an operator that pools to a size which the graph computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def balance(pyramid: Any, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`BFP.forward`.

    Args:
        pyramid: MMDetection's BFP.
        inputs: (1, C, h, w) float32 levels, each with half the rows and columns of the one before, rounded up.

    Returns:
        The balanced levels.
    """
    middle = pyramid.refine_level
    size = inputs[middle].shape[2:]
    gathered = [
        pool_to(level, size, middle - index) if index < middle else F.interpolate(level, size=size, mode="nearest")
        for index, level in enumerate(inputs)
    ]
    balanced: Tensor = sum(gathered) / len(gathered)  # type: ignore[assignment]
    if pyramid.refine_type is not None:
        balanced = pyramid.refine(balanced)
    return tuple(
        level
        + (
            F.interpolate(balanced, size=level.shape[2:], mode="nearest")
            if index < middle
            else pool_to(balanced, level.shape[2:], index - middle)
        )
        for index, level in enumerate(inputs)
    )


def pool_to(level: Tensor, size: Sequence[int], halvings: int) -> Tensor:
    """`F.adaptive_max_pool2d` to a size that results from halving, rounded up each time.

    Args:
        level: (1, C, h, w) float32.
        size: rows and columns of the result.
        halvings: how often the level is halved.

    Returns:
        (1, C, *size) float32.
    """
    for axis in (0, 1):
        level = _pool_axis(level, axis + 2, size[axis], 2**halvings + 1)
    return level


def _pool_axis(level: Tensor, axis: int, bins: int, most_cells: int) -> Tensor:
    """The maximum of each bin along an axis; bins overlap by at most a cell where they do not divide the axis."""
    cells = level.shape[axis]
    index = torch.arange(bins)
    first = torch.div(index * cells, bins, rounding_mode="floor")
    last = torch.div((index + 1) * cells + bins - 1, bins, rounding_mode="floor") - 1
    pooled = level.index_select(axis, first)
    for step in range(1, most_cells):
        pooled = torch.maximum(pooled, level.index_select(axis, torch.minimum(first + step, last)))
    return pooled
