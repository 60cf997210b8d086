"""Starts a command as a child process that ends with this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

PR_SET_PDEATHSIG = 1

Command = subprocess.Popen[bytes]
"""A command that was started."""


def start_command(command: Sequence[str], env: Mapping[str, str]) -> Command:
    """Start a command in a session of its own.

    Ctrl-C on the terminal then signals this process only, which decides how to stop the command. On Linux the command
    gets SIGTERM when this process dies.

    Args:
        command: the program and its arguments.
        env: environment variables that are set in addition to those of this process.
    """
    return subprocess.Popen(
        command, env={**os.environ, **env}, start_new_session=True, preexec_fn=_terminate_with_parent
    )


def _terminate_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
