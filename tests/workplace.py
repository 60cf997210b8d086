"""A folder of a user's, with commands run in it as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from forked import run_forked

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


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200"}


@dataclass(frozen=True)
class Workplace:
    """A folder of a user's, with commands run in it."""

    folder: Path

    def start(self, *words: str, module: str = "train", tiny: bool = True) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", f"vision_research.{module}", *(TINY if tiny else ()), *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *words: str, module: str = "train", tiny: bool = True, expect: int = 0, fresh: bool = False) -> str:
        """Run a command to its end and return what it printed; `fresh` loads its modules anew, as a person's does."""
        if fresh:
            process = self.start(*words, module=module, tiny=tiny)
            printed, _ = process.communicate(timeout=600)
            code = process.returncode
        else:
            with NamedTemporaryFile() as file:
                typed = (*(TINY if tiny else ()), *words)
                code = run_forked(module, typed, self.folder, _environment(), Path(file.name), timeout_s=600)
                printed = Path(file.name).read_text()
        assert code == expect, printed
        return printed


@dataclass(frozen=True)
class Finished(Workplace):
    """A folder with a finished run in it, and what its training printed."""

    printed: str
