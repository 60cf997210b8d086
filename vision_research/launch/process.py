"""Runs a LaunchPlan, and passes a person's wish to stop on to it."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from vision_research.launch.plan import LaunchPlan

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Finished:
    """How a launched command ended.

    Attributes:
        returncode: its exit code; negative is the signal that ended it.
        stopped_by: the signal by which a person or a scheduler asked it to stop, or None.
    """

    returncode: int
    stopped_by: signal.Signals | None


def run_plan(plan: LaunchPlan, stop_request: Path | None = None) -> Finished:
    """Run the command to its end.

    The first Ctrl-C or SIGTERM asks the ranks, by a file, to save a checkpoint and leave; a second one makes torchrun
    end them (it kills after 30 seconds); a third kills at once.

    Args:
        plan: what to run.
        stop_request: the file by which ranks are asked to stop; None for a command that has nothing to save, and
            gets the signal.
    """
    if stop_request is not None:
        stop_request.unlink(missing_ok=True)
    # A session of its own: Ctrl-C on the terminal reaches this process alone, which then asks politely.
    process = subprocess.Popen(
        plan.command, env={**os.environ, **plan.env}, start_new_session=True, preexec_fn=_end_with_parent
    )
    finished = Finished(0, None)
    with _passing_on(process, stop_request, finished):
        finished.returncode = process.wait()
    if stop_request is not None:
        stop_request.unlink(missing_ok=True)
    return finished


@contextmanager
def _passing_on(process: subprocess.Popen[bytes], stop_request: Path | None, finished: Finished) -> Iterator[None]:
    harder = iter((signal.SIGTERM,))

    def pass_on(number: int, frame: FrameType | None) -> None:
        first = finished.stopped_by is None
        finished.stopped_by = finished.stopped_by or signal.Signals(number)
        if first and stop_request is not None:
            stop_request.touch()
            # Not logged: a signal may arrive in the middle of a log call.
            sys.stderr.write("\nstopping after this iteration, with a checkpoint; once more to stop without one\n")
        elif process.poll() is None:
            process.send_signal(next(harder, signal.SIGKILL))

    previous = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent dies, so that no training outlives its command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
