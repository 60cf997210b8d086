"""Inputs of mmcv's operators, and what mmcv's compiled functions give for them, kept in `compiled_operators.npz`.

    python tests/unit/ops/operator_cases.py

writes the file anew, in an environment with mmcv's compiled operators.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

COMPILED = Path(__file__).with_name("compiled_operators.npz")
Results = dict[str, np.ndarray]


def boxes(random: np.random.RandomState, count: int, size: float = 100.0) -> Tensor:
    """(N, 4) xyxy, most of which overlap others."""
    corners = random.rand(count, 2) * size
    return torch.from_numpy(np.concatenate([corners, corners + random.rand(count, 2) * size / 2], 1)).float()


def numbers(random: np.random.RandomState, *shape: int) -> Tensor:
    """Normally distributed, and with a derivative."""
    return torch.from_numpy(random.randn(*shape)).float().requires_grad_()


def derived(output: Tensor, **inputs: Tensor) -> Results:
    """The output of an operator, and the derivatives of its weighted sum by the inputs."""
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    grads = torch.autograd.grad((output * weights).sum(), list(inputs.values()))
    return {"output": output, **dict(zip(inputs, grads, strict=True))}


def suppression(**options: Any) -> Callable[[], Results]:
    def run() -> Results:
        from mmcv.ops import nms

        random = np.random.RandomState(0)
        detections, kept = nms(boxes(random, 300), torch.from_numpy(random.rand(300)).float(), 0.5, **options)
        return {"detections": detections, "kept": kept}

    return run


def soft_suppression(method: str) -> Callable[[], Results]:
    def run() -> Results:
        from mmcv.ops import soft_nms

        random = np.random.RandomState(1)
        scores = torch.from_numpy(random.rand(700)).float()
        detections, kept = soft_nms(boxes(random, 700, 400.0), scores, 0.3, 0.5, 1e-3, method)
        return {"detections": detections, "kept": kept}

    return run


def groups() -> Results:
    from mmcv.ops import nms_match

    random = np.random.RandomState(2)
    scores = torch.from_numpy(random.rand(200, 1)).float()
    found = nms_match(torch.cat([boxes(random, 200), scores], 1), 0.4)
    return {"sizes": torch.tensor([len(group) for group in found]), "members": torch.cat(found)}


def overlaps(mode: str, aligned: bool, offset: int) -> Callable[[], Results]:
    def run() -> Results:
        from mmcv.ops import bbox_overlaps

        random = np.random.RandomState(3)
        return {"ious": bbox_overlaps(boxes(random, 20), boxes(random, 20), mode, aligned, offset)}

    return run


def pooling(sampling_ratio: int, aligned: bool) -> Callable[[], Results]:
    def run() -> Results:
        from mmcv.ops import roi_align

        random = np.random.RandomState(4)
        feature = numbers(random, 3, 5, 20, 33)
        rois = torch.cat([torch.from_numpy(random.randint(0, 3, (40, 1))).float(), boxes(random, 40, 300.0)], 1)
        rois[0, 1:] = torch.tensor([-30.0, -30.0, 400.0, 300.0])
        rois[1, 3:] = rois[1, 1:3]
        return derived(roi_align(feature, rois, (7, 4), 1 / 8, sampling_ratio, "avg", aligned), feature=feature)

    return run


def convolution(
    groups: int = 1, deform_groups: int = 1, stride: int = 1, dilation: int = 1, modulated: bool = False, finer: int = 1
) -> Callable[[], Results]:
    """With `finer=2` the offsets are those of a map that is twice as large, as DyHead gives them."""

    def run() -> Results:
        from mmcv.ops import deform_conv2d, modulated_deform_conv2d

        random = np.random.RandomState(5)
        size = (10, 14)
        out = [finer * ((side - 1) // stride + 1) for side in size]
        inputs = {
            "feature": numbers(random, 2, 8, *size),
            "offset": numbers(random, 2, deform_groups * 18, *out),
            "weight": numbers(random, 12, 8 // groups, 3, 3),
        }
        place = (stride, dilation, dilation, groups, deform_groups)
        if not modulated:
            return derived(deform_conv2d(inputs["feature"], inputs["offset"], inputs["weight"], *place), **inputs)
        mask, bias = numbers(random, 2, deform_groups * 9, *out), numbers(random, 12)
        output = modulated_deform_conv2d(inputs["feature"], inputs["offset"], mask, inputs["weight"], bias, *place)
        return derived(output, **inputs, mask=mask, bias=bias)

    return run


CASES: dict[str, Callable[[], Results]] = {
    "nms": suppression(),
    "nms_offset": suppression(offset=1),
    "nms_limits": suppression(score_threshold=0.4, max_num=20),
    **{f"soft_nms_{method}": soft_suppression(method) for method in ("naive", "linear", "gaussian")},
    "nms_match": groups,
    "overlaps": overlaps("iou", False, 0),
    "overlaps_aligned": overlaps("iou", True, 1),
    "overlaps_foreground": overlaps("iof", False, 0),
    **{f"roi_align_{ratio}_{aligned}": pooling(ratio, aligned) for ratio in (0, 2) for aligned in (True, False)},
    "deform_conv": convolution(),
    "deform_conv_groups": convolution(2, 4, stride=2),
    "modulated": convolution(modulated=True),
    "modulated_groups": convolution(4, 2, stride=2, modulated=True),
    "modulated_dilated": convolution(dilation=2, modulated=True),
    "modulated_finer_offsets": convolution(modulated=True, finer=2),
}


def computed(name: str) -> Results:
    """The results of a case by the operators that are in use."""
    return {key: value.detach().numpy() for key, value in CASES[name]().items()}


def recorded(name: str) -> Results:
    """The results of a case by mmcv's compiled operators."""
    with np.load(COMPILED) as file:
        return {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")}


if __name__ == "__main__":
    from vision_research.ops.mmcv_ext.choice import select
    from vision_research.ops.mmcv_ext.dispatch import why_not_compiled

    if reason := why_not_compiled():
        raise SystemExit(f"{reason}: python .ci/mmcv_wheel.py")
    select("compiled")
    arrays = {f"{name}/{key}": value for name in CASES for key, value in computed(name).items()}
    np.savez_compressed(COMPILED, **arrays)
