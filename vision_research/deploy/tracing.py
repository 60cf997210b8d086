"""Tracing of the parts of a detector that have no data-dependent counts.

Owns the settings of `torch.jit.trace`, the check that a trace holds for input of another size, and the switch that
leaves parts as they are for `torch.export`, which follows Python by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

_leave_untraced = ContextVar("_leave_untraced", default=False)


@contextmanager
def untraced() -> Iterator[None]:
    """Within the block `trace` gives back the module itself."""
    token = _leave_untraced.set(True)
    try:
        yield
    finally:
        _leave_untraced.reset(token)


def trace(module: nn.Module, example: Tensor | tuple[Tensor | list[Tensor], ...]) -> nn.Module:
    """Trace a module on one input, without gradients.

    Args:
        module: in eval mode.
        example: the input, or a tuple of inputs; only values are free, whether sizes are must be checked
            (`largest_difference`).

    Returns:
        The traced module, or within `untraced` the module itself; its parameters ask for no gradient, so that a
        consumer who forgets `no_grad` pays nothing.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if _leave_untraced.get():
        return module.eval()
    with warnings.catch_warnings(), torch.no_grad():
        # Upstream asserts and shape arithmetic warn by the dozen; whether they matter is measured, not guessed.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # strict=False: outputs are lists, of a length that depends on the architecture alone.
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            module.eval(), example, strict=False, check_trace=False
        )
    return traced


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """Compile a module with its control flow; traced modules in it stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled = torch.jit.script(module.eval())
    assert isinstance(compiled, torch.jit.ScriptModule)
    return compiled


def largest_difference(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest absolute difference between two lists of tensors; infinite where their shapes differ."""
    if [tensor.shape for tensor in got] != [tensor.shape for tensor in expected]:
        return float("inf")
    return max((float((a - b).abs().max()) for a, b in zip(got, expected, strict=True) if a.numel()), default=0.0)
