"""Running a plan: the exit code is returned, and a signal to stop becomes a file first, and a signal after that."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from vision_research.launch.plan import LaunchPlan
from vision_research.launch.process import run_plan

POLITE = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)\nsys.exit(0)"
STUBBORN = "import time\ntime.sleep(60)"


def plan(code: str, *arguments: str) -> LaunchPlan:
    return LaunchPlan((sys.executable, "-c", code, *arguments), {"MARK": "1"})


def send_later(*numbers: int) -> None:
    """Send signals to this process as soon as `run_plan` handles them, however busy the machine is."""
    before = signal.getsignal(numbers[0])

    def send() -> None:
        while signal.getsignal(numbers[0]) is before:
            time.sleep(0.02)
        for number in numbers:
            time.sleep(0.2)
            os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def test_exit_code_and_environment_arrive(tmp_path: Path) -> None:
    finished = run_plan(plan("import os, sys; sys.exit(3 if os.environ['MARK'] == '1' else 4)"), tmp_path / "stop")
    assert (finished.returncode, finished.stopped_by) == (3, None)


@pytest.mark.slow
def test_the_first_signal_asks_by_a_file(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    send_later(signal.SIGINT)
    finished = run_plan(plan(POLITE, str(stop)), stop)
    assert (finished.returncode, finished.stopped_by) == (0, signal.SIGINT)
    assert not stop.exists(), "a later run must not find the request of this one"


@pytest.mark.slow
def test_the_second_signal_ends_the_command(tmp_path: Path) -> None:
    send_later(signal.SIGTERM, signal.SIGTERM)
    finished = run_plan(plan(STUBBORN), tmp_path / "stop")
    assert (finished.returncode, finished.stopped_by) == (-signal.SIGTERM, signal.SIGTERM)


@pytest.mark.slow
def test_a_command_with_nothing_to_save_is_ended_at_once() -> None:
    send_later(signal.SIGINT)
    finished = run_plan(plan(STUBBORN))
    assert (finished.returncode, finished.stopped_by) == (-signal.SIGTERM, signal.SIGINT)


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_plan(plan("pass"), tmp_path / "stop")
    assert signal.getsignal(signal.SIGTERM) is before
