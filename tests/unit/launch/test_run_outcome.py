"""How a run ended is what the ranks wrote, or what the exit of torchrun tells."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from vision_research.launch.outcome import Outcome, read_outcome
from vision_research.launch.process import Finished
from vision_research.work_dir import WorkDir


def outcome_of(root: Path, written: dict[str, Any] | None, returncode: int, stop: signal.Signals | None) -> Outcome:
    work_dir = WorkDir(root)
    if written is not None:
        work_dir.outcome.write_text(json.dumps(written))
    return read_outcome(work_dir, Finished(returncode, stop))


@pytest.mark.parametrize(
    ("status", "returncode", "stop", "expected", "cause"),
    [
        ("FINISHED", 0, None, "FINISHED", ""),
        ("FINISHED", 1, None, "FAILED", "a rank ended with exit code 1 before it could say why"),
        ("FINISHED", 1, signal.SIGINT, "FINISHED", ""),
        ("FAILED", 1, signal.SIGTERM, "KILLED", ""),
        ("KILLED", 0, signal.SIGTERM, "KILLED", ""),
        (None, 0, signal.SIGINT, "KILLED", "stopped by SIGINT"),
        (None, -9, None, "FAILED", "torchrun was ended by SIGKILL; out of memory is the usual cause"),
        (None, 3, None, "FAILED", "a rank ended with exit code 3 before it could say why"),
    ],
)
def test_the_status_follows_from_ranks_exit_code_and_stop(
    tmp_path: Path, status: str | None, returncode: int, stop: signal.Signals | None, expected: str, cause: str
) -> None:
    written = None if status is None else {"status": status}
    outcome = outcome_of(tmp_path, written, returncode, stop)
    assert outcome.status == expected
    assert outcome.cause.startswith(cause) and bool(outcome.cause) == bool(cause)
    assert outcome.signal == (None if stop is None else int(stop))


def test_the_best_checkpoint_is_exported_and_the_last_one_without_a_best(tmp_path: Path) -> None:
    best, last = {"path": "/run/best.pth", "score": 0.5}, {"path": "/run/last.pth"}
    outcome = outcome_of(tmp_path, {"status": "FINISHED", "best": best, "last": last, "metrics": {"a": 1.0}}, 0, None)
    assert (outcome.checkpoint, outcome.best_value, outcome.metrics) == (Path("/run/best.pth"), 0.5, {"a": 1.0})
    unvalidated = outcome_of(tmp_path, {"status": "FINISHED", "best": None, "last": last}, 0, None)
    assert (unvalidated.checkpoint, unvalidated.best_value) == (Path("/run/last.pth"), None)


def test_best_and_last_checkpoint_are_tags_of_the_run() -> None:
    best, last = ({"path": f"/run/{name}.pth", "epoch": 2, "iteration": 40} for name in ("best", "last"))
    assert Outcome("FINISHED", best=best, last=last).checkpoint_tags == {
        "checkpoint.best": "best.pth, epoch 2, iteration 40",
        "checkpoint.last": "last.pth, epoch 2, iteration 40",
    }
    assert Outcome("FAILED").checkpoint_tags == {}
