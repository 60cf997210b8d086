"""Traces the parts of a detector whose counts do not depend on data.

Has the settings of `torch.jit.trace`, the comparison that shows whether a trace holds for input of another size, and a
switch that leaves parts untraced for `torch.export`, which interprets Python itself.
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
    """Let `trace` return the module itself within the block."""
    token = _leave_untraced.set(True)
    try:
        yield
    finally:
        _leave_untraced.reset(token)


def trace(module: nn.Module, example: Tensor | tuple[Tensor | list[Tensor], ...]) -> nn.Module:
    """Trace a module on one input, without gradients.

    Args:
        module: in eval mode.
        example: the input, or a tuple of inputs. The trace holds for other values; whether it holds for other sizes
            must be checked (`largest_difference`).

    Returns:
        The traced module, or within `untraced` the module itself. Its parameters require no gradient, so that a caller
        who forgets `no_grad` loses nothing.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if _leave_untraced.get():
        return module.eval()
    with warnings.catch_warnings(), torch.no_grad():
        # MMDetection's asserts and shape arithmetic cause dozens of warnings; checks measure whether they matter.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # strict=False allows lists as outputs; their length depends on the architecture alone.
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            module.eval(), example, strict=False, check_trace=False
        )
    return traced


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """Compile a module with its control flow; traced modules in it are kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled = torch.jit.script(module.eval())
    assert isinstance(compiled, torch.jit.ScriptModule)
    return compiled


def largest_difference(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest absolute difference between two lists of tensors; infinite where numbers or shapes of tensors differ.

    Args:
        got: the one list.
        expected: the other.
    """
    if [tensor.shape for tensor in got] != [tensor.shape for tensor in expected]:
        return float("inf")
    return max((float((a - b).abs().max()) for a, b in zip(got, expected, strict=True) if a.numel()), default=0.0)
