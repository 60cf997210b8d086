"""Replaces functions of torch that `torch.export` supports for plain sizes only, not for sizes that a graph computes.

In MMDetection's code these are `torch.linspace` (reference points of deformable attention, SOLO's coordinates), which
becomes arithmetic on a range, and `group_norm`, whose check for more than one value in a channel is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ComputedSizes(TorchFunctionMode):
    """Replaces these functions inside of the block, `linspace` only where its size is symbolic."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or its replacement."""
        if func is torch.linspace and isinstance(args[2], torch.SymInt):
            return steps_between(*args[:3])
        if func is F.group_norm:
            return torch.group_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def steps_between(start: Any, end: Any, steps: Any) -> Tensor:
    """Return `torch.linspace(start, end, steps)`, (steps,) float32; `start` alone for a single step.

    Args:
        start: first value.
        end: last value.
        steps: number of values; may be symbolic.
    """
    places = torch.arange(steps)
    last = torch.scalar_tensor(steps - 1, dtype=torch.float32).clamp(min=1.0)
    size = (torch.scalar_tensor(end, dtype=torch.float32) - start) / last
    # Counted from both ends, as torch does.
    return torch.where(places * 2 < steps, start + size * places, end - size * (steps - 1 - places))
