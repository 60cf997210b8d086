"""Replaces autograd functions of mmcv and MMDetection by plain torch while a network is traced or exported.

A trace would record such a function by its Python name, which a file cannot hold. Within `plain_layers` mmcv's
deformable convolutions and TOOD's geometric mean are replaced by functions of this package. So are the `forward` of
mmcv's `DeformConv2d` and that of Libra R-CNN's balanced pyramid, which can be traced but not exported with
`torch.export`: no format has an operator that pools to a size which the graph computes.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vision_research.ops.deform_conv import Geometry, deform_conv2d


@contextmanager
def plain_layers() -> Iterator[None]:
    """Replace mmcv's deformable convolutions and MMDetection's autograd functions within the block."""
    from mmcv.ops.deform_conv import DeformConv2d, DeformConv2dFunction
    from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
    from mmdet.models.necks import BFP
    from mmdet.models.utils.misc import SigmoidGeometricMean

    replaced = [
        *_replace(DeformConv2dFunction, _deform_conv2d),
        *_replace(ModulatedDeformConv2dFunction, _modulated_deform_conv2d),
        *_replace(SigmoidGeometricMean, _sigmoid_geometric_mean),
    ]
    if not _is_tracing():
        replaced += [(BFP, "forward", BFP.forward), (DeformConv2d, "forward", DeformConv2d.forward)]
        BFP.forward, DeformConv2d.forward = balance, _deform_conv2d_layer
    try:
        yield
    finally:
        for module, name, original in replaced:
            setattr(module, name, original)


def _is_tracing() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _replace(function: type, ours: Callable[..., Tensor]) -> list[tuple[Any, str, Any]]:
    """Replace `function.apply` wherever a module's global refers to it; returns the globals that were replaced."""
    found = [
        (module, name, value)
        for key, module in list(sys.modules.items())
        if key.partition(".")[0] in ("mmcv", "mmdet") and isinstance(module, types.ModuleType)
        for name, value in list(vars(module).items())
        if isinstance(value, types.BuiltinMethodType | types.MethodType) and value.__self__ is function
    ]
    for module, name, _ in found:
        setattr(module, name, ours)
    return found


def _deform_conv2d(
    feature: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """Has the arguments of `DeformConv2dFunction.forward`; its `bias` is always False."""
    return _modulated_deform_conv2d(
        feature, offset, None, weight, None, stride, padding, dilation, groups, deform_groups
    )


def _deform_conv2d_layer(layer: Any, feature: Tensor, offset: Tensor) -> Tensor:
    """`DeformConv2d.forward` without its padding of maps smaller than the kernel, which mmcv's own kernels need."""
    place = (layer.stride, layer.padding, layer.dilation, layer.groups, layer.deform_groups)
    return _deform_conv2d(feature, offset, layer.weight, *place)


def _modulated_deform_conv2d(
    feature: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Has the arguments of `ModulatedDeformConv2dFunction.forward`."""
    kernel = (int(weight.size(2)), int(weight.size(3)))
    geometry = Geometry(kernel, _pair(stride), _pair(padding), _pair(dilation), groups, deform_groups)
    return deform_conv2d(feature, offset, weight, bias, mask, geometry)


def _sigmoid_geometric_mean(first: Tensor, second: Tensor) -> Tensor:
    return (first.sigmoid() * second.sigmoid()).sqrt()


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def balance(pyramid: Any, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`BFP.forward`: balance the levels of a pyramid.

    Args:
        pyramid: MMDetection's BFP.
        inputs: (1, C, h, w) float32 levels, each with half the rows and columns of the one before, rounded up.
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
