"""Determines how a run ended from the file that the ranks wrote and the exit code of torchrun."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_research.launch.process import Finished
from vision_research.work_dir import WorkDir, read_json


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: FINISHED, FAILED or KILLED, as MLflow names them.
        cause: one line of text, or empty.
        signal: number of the signal that stopped the run, or None.
        metrics: of the last validation.
        best: `path`, `epoch`, `iteration` and `score` of the best checkpoint; empty if nothing was validated.
        last: the same of the last checkpoint.
        model: the exported model, or None.
    """

    status: str
    cause: str = ""
    signal: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    model: Path | None = None

    @property
    def best_value(self) -> float | None:
        """Value of the monitored metric at the best checkpoint, or None."""
        value = self.best.get("score")
        return None if value is None else float(value)

    @property
    def checkpoint_tags(self) -> dict[str, str]:
        """File, epoch and iteration of the best and the last checkpoint, as tags of the run."""
        entries = {"checkpoint.best": self.best, "checkpoint.last": self.last}
        return {
            name: f"{Path(entry['path']).name}, epoch {entry['epoch']}, iteration {entry['iteration']}"
            for name, entry in entries.items()
            if entry
        }

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that a model is exported from: the best one, or the last one if there is no best."""
        path = self.best.get("path") or self.last.get("path")
        return Path(path) if path else None


def read_outcome(work_dir: WorkDir, finished: Finished) -> Outcome:
    """Read the outcome that the ranks wrote, or derive it from the exit code where they were killed before.

    Args:
        work_dir: folder of the run.
        finished: exit of torchrun.
    """
    stopped, signalled = finished.stopped_by, None if finished.stopped_by else _signalled_rank(work_dir)
    try:
        written: dict[str, Any] = json.loads(work_dir.outcome.read_text())
    except FileNotFoundError:
        written = {"status": "KILLED" if stopped else "FAILED", "cause": _exit_cause(finished)}
    status = written["status"]
    if status == "FINISHED" and finished.returncode != 0 and not stopped:
        status, written["cause"] = "FAILED", _exit_cause(finished)
    if status == "FAILED" and signalled:
        # What the other ranks wrote follows from it: a connection was closed.
        written["cause"] = signalled
    if status == "FAILED" and stopped:
        status = "KILLED"
    return Outcome(
        status=status,
        cause=str(written.get("cause") or ""),
        signal=int(stopped) if stopped else None,
        metrics=written.get("metrics") or {},
        best=written.get("best") or {},
        last=written.get("last") or {},
    )


def _signalled_rank(work_dir: WorkDir) -> str | None:
    """Say which rank was ended by a signal, if that was the first failure."""
    failure = read_json(work_dir.rank_failure)
    if failure.get("exitcode", 0) >= 0:
        return None
    name = signal.Signals(-failure["exitcode"]).name
    hint = "; out of memory is the usual cause: type a smaller data.batch_size" if name == "SIGKILL" else ""
    return f"rank {failure['rank']} was ended by {name}{hint}"


def _exit_cause(finished: Finished) -> str:
    if finished.stopped_by:
        return f"stopped by {finished.stopped_by.name}"
    if finished.returncode < 0:
        return f"torchrun was ended by {signal.Signals(-finished.returncode).name}; out of memory is the usual cause"
    return (
        f"a rank ended with exit code {finished.returncode} before it could say why; what it printed stands above "
        "(out of memory, on the host or the GPU, is the usual cause: type a smaller data.batch_size)"
    )
