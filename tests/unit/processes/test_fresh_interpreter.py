"""Running a function in a fresh interpreter, and who may start processes at all."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import vision_research
from vision_research.processes.command import run_in_fresh_interpreter

PACKAGE = Path(vision_research.__file__).parent
# import-linter sees `subprocess` and `multiprocessing` (pyproject.toml), but no part of `torch` and `concurrent`.
OTHER_WAYS = re.compile(
    r"torch\.multiprocessing|from torch import .*multiprocessing|ProcessPoolExecutor|os\.(fork|exec|spawn|popen|system)"
)


def test_the_exit_code_comes_back_and_the_main_module_is_that_of_before() -> None:
    main = sys.modules["__main__"]

    assert run_in_fresh_interpreter(sys.exit, 3) == 3
    assert sys.modules["__main__"] is main


def test_no_other_package_starts_processes_in_ways_that_the_contract_cannot_see() -> None:
    found = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "processes" and OTHER_WAYS.search(path.read_text(encoding="utf-8"))
    ]

    assert found == []
