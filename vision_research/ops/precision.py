"""The precision in which operators compute."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """At least float32: sums of many samples, and positions on a map, need more than the bits of bfloat16.

    Args:
        values: of any shape.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
