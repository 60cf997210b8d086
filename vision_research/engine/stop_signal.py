"""A stop asked for by a signal: remembered by the handler, acted on by `GracefulStopHook` at an iteration boundary."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_received: list[signal.Signals] = []
# One byte that forked workers share with the process that forked them: 1 inside of `catch_stop_signals`.
_caught = mmap.mmap(-1, 1)


def stop_signal() -> signal.Signals | None:
    """Return the first stop signal that this process got inside `catch_stop_signals`, if any."""
    return _received[0] if _received else None


@contextmanager
def catch_stop_signals() -> Iterator[None]:
    """Remember SIGINT and SIGTERM rather than die of them, for as long as the block runs.

    The second SIGINT ends the process in the usual way: somebody presses Ctrl-C twice because they mean it. A second
    SIGTERM does not, for Slurm and torchrun send more than one.
    """
    _received.clear()
    _caught[0] = 1
    before = {number: signal.signal(number, _remember) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()
        _caught[0] = 0


def survive_stop_signals() -> None:
    """Make this process, a forked worker, outlive stop signals for as long as its parent catches them.

    Afterwards it dies of them as usual: the data loader ends workers that hang with SIGTERM, and the interpreter waits
    for all of them when it exits.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _survive)


def _survive(number: int, frame: FrameType | None) -> None:
    if not _caught[0]:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _remember(number: int, frame: FrameType | None) -> None:
    again = number == signal.SIGINT and signal.SIGINT in _received
    _received.append(signal.Signals(number))
    if again:
        signal.default_int_handler(number, frame)
