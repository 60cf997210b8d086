from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vision_research.engine.outcome import write_failure, write_outcome


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_attempt(run_id: str, restart: int, rank: int = 0) -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restart))
        monkeypatch.setenv("RANK", str(rank))

    return set_attempt


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_the_first_failure_of_an_attempt_is_kept(tmp_path: Path, attempt: Any) -> None:
    path = tmp_path / "outcome.json"
    attempt("a", 0, rank=1)
    assert write_failure(path, ValueError("the cause"), iter=7)
    attempt("a", 0, rank=0)
    assert not write_failure(path, RuntimeError("Connection closed by peer"))

    assert read(path) == {
        "status": "FAILED",
        "cause": "the cause",
        "error_type": "ValueError",
        "rank": 1,
        "iter": 7,
        "is_consequence": False,
        "attempt": "a/0",
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["outcome.json"], "a temporary file was left"


@pytest.mark.parametrize("later", [("a", 1), ("b", 0)])
def test_a_restart_or_a_new_launch_replaces_what_the_attempt_before_left(
    tmp_path: Path, attempt: Any, later: tuple[str, int]
) -> None:
    path = tmp_path / "outcome.json"
    attempt("a", 0)
    write_failure(path, ValueError("before"))
    attempt(*later)
    assert write_failure(path, ValueError("now"))

    assert read(path)["cause"] == "now"


def test_a_consequence_gives_way_to_the_cause_and_never_replaces_it(tmp_path: Path, attempt: Any) -> None:
    path = tmp_path / "outcome.json"
    attempt("a", 0)
    write_failure(path, ValueError("weights are not finite"), is_consequence=True)
    assert write_failure(path, ValueError("the loss is not finite"))
    assert not write_failure(path, ValueError("weights are not finite"), is_consequence=True)

    assert read(path)["cause"] == "the loss is not finite"


def test_success_replaces_the_failure_of_an_earlier_attempt(tmp_path: Path, attempt: Any) -> None:
    path = tmp_path / "outcome.json"
    attempt("a", 0)
    write_failure(path, ValueError("before"))
    attempt("a", 1)
    write_outcome(path, "FINISHED", epoch=3)

    assert read(path) == {"status": "FINISHED", "epoch": 3, "attempt": "a/1"}


def test_an_error_without_words_is_named_by_its_type(tmp_path: Path) -> None:
    write_failure(tmp_path / "outcome.json", KeyboardInterrupt())
    assert read(tmp_path / "outcome.json")["cause"] == "KeyboardInterrupt"
