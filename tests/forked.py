"""Commands that fork from a process that has loaded torch, MMDetection and MLflow, which takes seconds each time.

A command runs as `python -m vision_research.NAME` does: as `__main__`, in a process, folder and environment of its own,
with an exit code. What happens while modules load cannot be seen here; for that, a test starts a fresh interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

# A module that is not there is left out silently.
_LOADED = ["mlflow.pyfunc", "mmdet.apis", "mmdet.evaluation", "mmengine.runner", "vision_research.engine.registered"]
_SERVER = multiprocessing.get_context("forkserver")


def run_forked(
    module: str, words: tuple[str, ...], folder: Path, environment: Mapping[str, str], printed: Path, timeout_s: float
) -> int:
    """Run a command to its end and return its exit code.

    Args:
        module: the command, as `train`.
        words: what is typed behind it.
        folder: where it is typed.
        environment: all of its variables.
        printed: file for what it prints.
        timeout_s: how long it may take; then it is killed.
    """
    _SERVER.set_forkserver_preload(_LOADED)
    process = _SERVER.Process(target=_run, args=(module, words, folder, dict(environment), printed))
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(module: str, words: tuple[str, ...], folder: Path, environment: dict[str, str], printed: Path) -> None:
    with printed.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = [sys.executable, "-m", f"vision_research.{module}", *words]
    sys.argv = [f"vision_research/{module}.py", *words]
    runpy.run_module(f"vision_research.{module}", run_name="__main__", alter_sys=True)
