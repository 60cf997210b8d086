"""Which functions of mmcv's extension are written in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# The functions by mmcv's names, and for some of them the arguments that they write their results into: those are single
# nodes in the graphs of `torch.compile`. No such node can compute a derivative by autograd.
PLAIN: dict[str, Callable[..., Any]] = {}
BUFFERS: dict[str, tuple[str, ...]] = {}


def operator(*buffers: str) -> Callable[[Function], Function]:
    """Enter the decorated function under its own name.

    Args:
        *buffers: the arguments that it writes its results into, if it is to be a node of compiled graphs.
    """

    def enter(function: Function) -> Function:
        PLAIN[function.__name__] = function
        if buffers:
            BUFFERS[function.__name__] = buffers
        return function

    return enter
