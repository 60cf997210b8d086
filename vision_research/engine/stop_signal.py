"""Stop signals: the handler remembers the signal, and `GracefulStopHook` acts on it at the end of an iteration."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vision_research.processes.stop_signals import STOP_SIGNALS

_received: list[signal.Signals] = []
# One byte that a process shares with its forked workers: 1 inside of `catch_stop_signals`.
_is_catching = mmap.mmap(-1, 1)


def stop_signal() -> signal.Signals | None:
    """Return the first stop signal that this process got inside `catch_stop_signals`, if any."""
    return _received[0] if _received else None


@contextmanager
def catch_stop_signals() -> Iterator[None]:
    """Remember stop signals inside of the block, where they do not end the process.

    A second SIGINT ends the process as usual, because a person who presses Ctrl-C twice wants that. A second one of the
    others does not, because Slurm and torchrun send several.
    """
    _received.clear()
    _is_catching[0] = 1
    before = {number: signal.signal(number, _remember) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()
        _is_catching[0] = 0


def ignore_stop_signals_of_parent() -> None:
    """Make this forked worker ignore stop signals while its parent is inside of `catch_stop_signals`.

    Afterwards they end the worker as usual: the data loader sends SIGTERM to workers that hang, and the interpreter
    waits for all workers when it exits.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _ignore_while_parent_catches)


def _ignore_while_parent_catches(number: int, frame: FrameType | None) -> None:
    if not _is_catching[0]:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _remember(number: int, frame: FrameType | None) -> None:
    again = number == signal.SIGINT and signal.SIGINT in _received
    _received.append(signal.Signals(number))
    if again:
        signal.default_int_handler(number, frame)
