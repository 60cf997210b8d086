"""Finds and ends all processes that a command started, also those whose own parent is gone.

A mark in the environment tells them: every process inherits it, however it was started, and keeps it when its parent
dies. torchrun gives each rank a session of its own, so neither sessions nor process groups hold a run together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import psutil

logger = logging.getLogger(__name__)

COMMAND = "VISION_RESEARCH_COMMAND"
"""Environment variable: identifies the command that started a process; no two commands have the same."""

PLACE = "VISION_RESEARCH_PLACE"
"""Environment variable: the folder that a process works for; the same for all commands that go on with a run."""

# How long killed processes may take to disappear: the kernel frees the memory of a GPU first.
_GONE_S = 30.0
_ROUNDS = 3


def processes_with(variable: str, value: str) -> list[psutil.Process]:
    """List the running processes of this machine that have a mark, except this one.

    Args:
        variable: `COMMAND` or `PLACE`.
        value: of it.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(process)
        # Processes of others, zombies, and those that end meanwhile.
        except (psutil.Error, OSError):
            continue
    return found


def end_processes(processes: Sequence[psutil.Process], patience_s: float = 0.0) -> int:
    """Wait for processes to end by themselves, then kill those that do not.

    Args:
        processes: of this machine.
        patience_s: how long to wait.

    Returns:
        How many were killed.
    """
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _, stuck = psutil.wait_procs(alive, timeout=_GONE_S)
    if stuck:
        logger.warning("still there after SIGKILL: %s", ", ".join(str(process.pid) for process in stuck))
    return len(alive)


def end_descendants(command: str) -> int:
    """Kill every process with this value of `COMMAND`, and return how many there were.

    Args:
        command: the mark.
    """
    killed = 0
    # A process may start another one while the list is being made; one that the kernel cannot end is not waited for.
    for _ in range(_ROUNDS):
        found = processes_with(COMMAND, command)
        if not found:
            break
        killed += end_processes(found)
    return killed
