"""Starting a command: its environment, and that a Ctrl-C on the terminal does not reach it."""

from __future__ import annotations

import os
import sys

from vision_research.processes.command import start_command


def test_a_command_has_the_given_variables_and_a_session_of_its_own() -> None:
    code = "import os, sys; sys.exit(7 if os.environ['MARK'] == '1' and os.getsid(0) == os.getpid() else 1)"

    command = start_command((sys.executable, "-c", code), {"MARK": "1"})

    assert command.wait() == 7
    assert os.environ.get("MARK") is None
