"""Functions of torch that `torch.export` follows for plain numbers alone, for sizes that a graph computes.

Within `ComputedSizes` MMDetection's own code is followed: `torch.linspace` (reference points of deformable attention,
SOLO's coordinates) is arithmetic on a range, and `group_norm` does not ask whether there is more than one value a
channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ComputedSizes(TorchFunctionMode):
    """Within the block such functions are ours, wherever a size of theirs is symbolic."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        if func is torch.linspace and isinstance(args[2], torch.SymInt):
            return steps_between(*args[:3])
        if func is F.group_norm:
            return _group_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _group_norm(
    values: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return torch.group_norm(values, num_groups, weight, bias, eps)


def steps_between(start: Any, end: Any, steps: Any) -> Tensor:
    """`torch.linspace`, its start alone where there is one step: (steps,) float32."""
    places = torch.arange(steps)
    last = torch.scalar_tensor(steps - 1, dtype=torch.float32).clamp(min=1.0)
    size = (torch.scalar_tensor(end, dtype=torch.float32) - start) / last
    # From both ends, as torch counts.
    return torch.where(places * 2 < steps, start + size * places, end - size * (steps - 1 - places))
