"""What graphs compute in the place of functions that want plain sizes: the numbers are torch's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from vision_research.ops.computed_sizes import ComputedSizes


class Between(nn.Module):
    def forward(self, tensor: Tensor) -> Tensor:
        steps: Any = torch.scalar_tensor(tensor.shape[0], dtype=torch.int64).item()
        torch._check(steps >= 1)
        return torch.linspace(-1, 1, steps) + torch.linspace(0.5, steps - 0.5, steps)


def test_steps_of_a_computed_number_are_those_of_linspace() -> None:
    with ComputedSizes():
        graph = torch.export.export(
            Between(), (torch.zeros(7),), dynamic_shapes=({0: Dim("steps", min=1, max=99)},), strict=False
        ).module()

    for steps in (1, 2, 7, 50):
        expected = torch.linspace(-1, 1, steps) + torch.linspace(0.5, steps - 0.5, steps)
        torch.testing.assert_close(graph(torch.zeros(steps)), expected, atol=1e-6, rtol=0)
