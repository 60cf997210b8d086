"""Runs a LaunchPlan, and forwards signals to it."""

from __future__ import annotations

import logging
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from vision_research.launch.plan import LaunchPlan
from vision_research.processes.command import Command, start_command
from vision_research.processes.descendants import COMMAND, end_descendants
from vision_research.processes.stop_signals import STOP_SIGNALS

logger = logging.getLogger(__name__)


@dataclass
class Finished:
    """The exit of a launched command.

    Attributes:
        returncode: its exit code; a negative one is the signal that ended it.
        stopped_by: the signal by which the user or a scheduler stopped it, or None.
    """

    returncode: int
    stopped_by: signal.Signals | None


def run_plan(plan: LaunchPlan, stop_request: Path | None = None) -> Finished:
    """Run a command to its end, and that of every process that it started.

    On the first signal to stop, the ranks save a checkpoint and exit; on the second, torchrun terminates them (and
    kills them after 30 seconds); on the third, it is killed. What is left when the command has ended, as the ranks of a
    torchrun that was killed, is killed too.

    Args:
        plan: the command.
        stop_request: file that is created to ask the ranks to stop; None sends the first signal to the command.
    """
    if stop_request is not None:
        stop_request.unlink(missing_ok=True)
    command = uuid.uuid4().hex
    process = start_command(plan.command, {**plan.env, COMMAND: command})
    finished = Finished(0, None)
    with _forward_signals(process, stop_request, finished):
        finished.returncode = process.wait()
        if left := end_descendants(command):
            logger.warning("%d processes were left when their command had ended, and were killed", left)
    if stop_request is not None:
        stop_request.unlink(missing_ok=True)
    return finished


@contextmanager
def signals_exit() -> Iterator[None]:
    """Turn signals to stop into `SystemExit` inside of the block, so that what is open is closed.

    Ctrl-C already raises KeyboardInterrupt. While a plan runs, `run_plan` handles all of them.
    """

    def leave(number: int, stack: FrameType | None) -> None:
        sys.exit(128 + number)

    with _handlers({number: leave for number in STOP_SIGNALS if number != signal.SIGINT}):
        yield


@contextmanager
def _forward_signals(process: Command, stop_request: Path | None, finished: Finished) -> Iterator[None]:
    stronger = iter((signal.SIGTERM,))

    def forward(number: int, stack: FrameType | None) -> None:
        first = finished.stopped_by is None
        finished.stopped_by = finished.stopped_by or signal.Signals(number)
        if first and stop_request is not None:
            stop_request.touch()
            # Not logged, because the signal may arrive during a log call.
            sys.stderr.write("\nstopping after this iteration, with a checkpoint; once more to stop without one\n")
        elif process.poll() is None:
            process.send_signal(next(stronger, signal.SIGKILL))

    with _handlers(dict.fromkeys(STOP_SIGNALS, forward)):
        yield


@contextmanager
def _handlers(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
