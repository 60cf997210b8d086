"""Runs a function in a new interpreter, which imports only the module of the function."""

from __future__ import annotations

import multiprocessing
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def run_in_fresh_interpreter(target: Callable[..., None], *arguments: object) -> int:
    """Run a function in a new Python process, and wait until it ends.

    Args:
        target: a function of a module.
        *arguments: its arguments, which are pickled.

    Returns:
        The exit code of the process; 0 if the function returned.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    with _empty_main():
        process.start()
    process.join()
    assert process.exitcode is not None, "set once a process is joined"
    return process.exitcode


@contextmanager
def _empty_main() -> Iterator[None]:
    """Set an empty main module inside of the block, because a spawned process imports the main module of its parent."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
