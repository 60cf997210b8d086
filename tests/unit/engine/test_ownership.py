"""A rank whose command no longer owns the folder writes nothing into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.engine.outcome import read_events, record_event
from vision_research.engine.ownership import OwnershipLostError, is_owner, remember_owner, require_ownership
from vision_research.work_dir import OWNER, WorkDir


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkDir:
    """A folder in which the third command runs, seen by a rank of it."""
    work_dir = WorkDir(tmp_path)
    work_dir.owner_lock.write_text("3")
    monkeypatch.setenv(OWNER, "3")
    return work_dir


def test_a_rank_of_the_present_command_is_the_owner(run: WorkDir) -> None:
    require_ownership(run)
    record_event(run.root, "pipeline_stage")
    assert [event["event"] for event in read_events(run.root)] == ["pipeline_stage"]


@pytest.mark.fault("a rank whose command lost the folder", "writes no checkpoint, outcome or event")
def test_another_command_takes_the_folder(run: WorkDir) -> None:
    run.owner_lock.write_text("4")
    with pytest.raises(OwnershipLostError, match="another command goes on with this run"):
        require_ownership(run)
    record_event(run.root, "pipeline_stage")
    assert read_events(run.root) == []


def test_a_rank_on_another_machine_remembers_the_number_at_its_start(
    run: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(OWNER)
    assert is_owner(run), "a worker that is started by hand has no command"
    remember_owner(run)
    assert is_owner(run)
    run.owner_lock.write_text("4")
    assert not is_owner(run)
