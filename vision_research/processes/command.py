"""Starts commands, and functions in new interpreters, as child processes."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

_PR_SET_PDEATHSIG = 1

Command = subprocess.Popen[bytes]


def start_command(command: Sequence[str], env: Mapping[str, str]) -> Command:
    """Start a command in a session of its own, as a child process that ends with this process.

    Ctrl-C on the terminal then signals this process only, which decides how to stop the command. On Linux the command
    gets SIGTERM when this process dies, so that it can save and stop its own children.

    Args:
        command: the program and its arguments.
        env: environment variables that are set in addition to those of this process.
    """
    return subprocess.Popen(
        command,
        env={**os.environ, **env},
        start_new_session=True,
        preexec_fn=partial(signal_when_parent_dies, signal.SIGTERM),
    )


def signal_when_parent_dies(number: signal.Signals) -> None:
    """Ask Linux to send this process a signal when its parent dies; elsewhere this does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def run_in_fresh_interpreter(target: Callable[..., None], *arguments: object) -> int:
    """Run a module's function with pickled arguments in a new Python process to its end; return the exit code."""
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
