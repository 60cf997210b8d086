"""Replaces autograd functions of mmcv and MMDetection by plain torch while a network is traced or exported.

A trace would record such a function by its Python name, which a file cannot hold. Within `plain_layers` mmcv's
deformable convolutions and TOOD's geometric mean are replaced by functions of this package. So are the `forward` of
mmcv's `DeformConv2d` and that of the balanced pyramid, which can be traced but not exported with `torch.export`.
Deformable convolutions are scripted within a trace: a trace would unroll their taps, and a graph of that size takes
minutes to optimise.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from vision_research.deploy.families.balanced_pyramid import balance
from vision_research.ops.deform_conv import deform_conv2d


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
    place = (_pair(stride), _pair(padding), _pair(dilation), groups, deform_groups)
    return _current_deform_conv2d()(feature, offset, weight, None, None, *place)


def _deform_conv2d_layer(layer: Any, feature: Tensor, offset: Tensor) -> Tensor:
    """`DeformConv2d.forward` without its padding of maps smaller than the kernel, which mmcv's own kernels need."""
    place = (layer.stride, layer.padding, layer.dilation, layer.groups, layer.deform_groups)
    return _deform_conv2d(feature, offset, layer.weight, *place)


def _modulated_deform_conv2d(
    feature: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Has the arguments of `ModulatedDeformConv2dFunction.forward`."""
    place = (_pair(stride), _pair(padding), _pair(dilation), groups, deform_groups)
    return _current_deform_conv2d()(feature, offset, weight, bias, mask, *place)


def _current_deform_conv2d() -> Callable[..., Tensor]:
    """The scripted function within a trace, where it stays a loop; elsewhere, for `torch.export`, the Python one."""
    return _scripted_deform_conv2d() if _is_tracing() else deform_conv2d


@functools.cache
def _scripted_deform_conv2d() -> Callable[..., Tensor]:
    scripted: Callable[..., Tensor] = torch.jit.script(deform_conv2d)
    return scripted


def _sigmoid_geometric_mean(first: Tensor, second: Tensor) -> Tensor:
    return (first.sigmoid() * second.sigmoid()).sqrt()


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
