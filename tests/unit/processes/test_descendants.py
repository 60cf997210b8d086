"""Processes of a command are found by their mark, whoever their parent is."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid

import psutil

from vision_research.processes.command import start_command
from vision_research.processes.descendants import COMMAND, end_descendants, end_processes, processes_with

# Starts a process in a session of its own, and ends at once.
LEAVES_A_CHILD = (
    "import subprocess, sys; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)"
)


def test_a_process_whose_parent_is_gone_is_found_and_ended() -> None:
    mark = uuid.uuid4().hex
    assert start_command((sys.executable, "-c", LEAVES_A_CHILD), {COMMAND: mark}).wait() == 0
    (left,) = processes_with(COMMAND, mark)
    assert end_descendants(mark) == 1
    assert processes_with(COMMAND, mark) == []
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert end_descendants(mark) == 0


def test_a_process_that_ends_by_itself_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"]) as process:
        begun = time.monotonic()
        assert end_processes([psutil.Process(process.pid)], patience_s=30) == 0
        assert time.monotonic() - begun < 20
        assert process.wait() == 0
