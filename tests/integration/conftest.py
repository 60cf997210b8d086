"""Real commands on a tiny data set: torchrun, SQLite MLflow, one or two CPU ranks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from vision_research.datasets.digits import make_digits

# Sixteen pictures of 64 pixels: every code path, a second an iteration.
TINY = (
    "image_size=[64,64]",
    "data.limit_train=16",
    "data.limit_val=8",
    "data.batch_size=4",
    "data.num_workers=1",
    "log_interval=1",
    "schedule.max_epochs=2",
    "schedule.val_interval=1",
    "hw=cpu",
    "hw.num_threads=1",
)


@dataclass(frozen=True)
class Workplace:
    """A folder of a user's, with commands run in it."""

    folder: Path

    def start(self, *words: str, module: str = "train", tiny: bool = True) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", f"vision_research.{module}", *(TINY if tiny else ()), *words]
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200"}
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *words: str, module: str = "train", tiny: bool = True, expect: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        process = self.start(*words, module=module, tiny=tiny)
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == expect, printed
        return printed


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set, made once for all commands."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    make_digits(folder)
    return folder


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Workplace:
    """An empty folder that holds nothing but the data."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "data").mkdir()
    (folder / "data" / "digits").symlink_to(digits)
    return Workplace(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Workplace:
    """A folder with one trained, tracked and exported run, `runs/one`, for the commands that start from such a run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "data").mkdir()
    (folder / "data" / "digits").symlink_to(digits)
    workplace = Workplace(folder)
    workplace.run("work_dir=runs/one", "schedule.max_epochs=1", "export.num_images=2")
    return workplace


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Wait until something holds, and fail when it does not."""
    import time

    def wait(condition: Callable[[], bool], timeout_s: float = 180) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.2)

    return wait
