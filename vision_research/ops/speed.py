"""Measures the operators that detectors call most, as the doctor prints them."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

# Of the measurement of one operator.
BUDGET_S = 0.15


def describe_speed() -> str:
    """Return the milliseconds of each operator, by all who can compute it here."""
    from vision_research.ops.mmcv_ext.choice import select, selected
    from vision_research.ops.mmcv_ext.dispatch import in_use, why_not_compiled

    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = selected()
    choices = ["plain", *(["compiled"] if why_not_compiled() is None else [])]
    try:
        found = {}
        for choice in choices:
            select(choice)
            found[in_use(device == "cuda")] = {name: _milliseconds(run) for name, run in _operators(device).items()}
    finally:
        select(before)
    parts = [
        f"{who}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in values.items())
        for who, values in found.items()
    ]
    return "; ".join(parts)


def _operators(device: str) -> dict[str, Callable[[], object]]:
    """Calls of typical size: 1,000 boxes, and 64 RoIs or a convolution with 64 channels, with their derivatives."""
    from mmcv.ops import modulated_deform_conv2d, nms, roi_align

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    corners = draw(1000, 2) * 800
    boxes, scores = torch.cat([corners, corners + draw(1000, 2) * 200], 1), draw(1000)
    feature = draw(1, 64, 50, 50).requires_grad_()
    rois = torch.cat([torch.zeros(64, 1, device=device), boxes[:64] * 0.4], 1)
    offset, mask, weight = draw(1, 18, 50, 50), draw(1, 9, 50, 50), draw(64, 64, 3, 3).requires_grad_()
    return {
        "nms": lambda: nms(boxes, scores, 0.5),
        "RoIAlign": lambda: roi_align(feature, rois, 7, 1 / 8, 2, "avg", True).sum().backward(),
        "deformable convolution": lambda: (
            modulated_deform_conv2d(feature, offset, mask, weight, None, 1, 1).sum().backward()
        ),
    }


def _milliseconds(run: Callable[[], object]) -> float:
    """Median of as many calls as the budget allows, after one that is not counted."""
    run()
    taken: list[float] = []
    while sum(taken) < BUDGET_S:
        begun = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return 1e3 * median(taken)
