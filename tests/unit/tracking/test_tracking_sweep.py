from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient

from vision_research import track
from vision_research.tracking.run import TrackingSettings, close_parent, open_parent, parent_of
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.sync import PARENT_RUN_JSON


def test_a_sweep_has_one_parent_run(settings: TrackingSettings, tmp_path: Path) -> None:
    sweep_dir = tmp_path / "multirun" / "2026-01-01" / "10-00-00"
    run_id = open_parent(settings, sweep_dir, {"model": "rtmdet_tiny,retinanet"}, {"mlflow.user": "ada"})
    assert parent_of(sweep_dir) == run_id
    delivery = close_parent(sweep_dir, "FINISHED")
    assert delivery is not None
    assert delivery.complete
    found = MlflowClient(settings.uri).get_run(run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "sweep 2026-01-01 10-00-00")
    assert found.data.params == {"model": "rtmdet_tiny,retinanet"}
    assert found.data.tags["sweep"] == "parent"


def test_a_sweep_that_failed_says_why(settings: TrackingSettings, tmp_path: Path) -> None:
    run_id = open_parent(settings, tmp_path / "sweep", {}, {})
    close_parent(tmp_path / "sweep", "FAILED", "2 of 4 jobs failed")
    found = MlflowClient(settings.uri).get_run(run_id)
    assert (found.info.status, found.data.tags["status_cause"]) == ("FAILED", "2 of 4 jobs failed")


def test_a_sweep_without_a_record_has_no_parent(tmp_path: Path) -> None:
    assert parent_of(tmp_path) is None
    assert close_parent(tmp_path, "FINISHED") is None


def test_a_sweep_that_was_killed_is_marked_by_sync(settings: TrackingSettings, tmp_path: Path) -> None:
    sweep_dir = tmp_path / "multirun" / "sweep"
    run_id = open_parent(settings, sweep_dir, {}, {})
    record = RunRecord.read(sweep_dir / PARENT_RUN_JSON)
    replace(record, pid=2**22 + 1).write(sweep_dir / PARENT_RUN_JSON)  # beyond Linux's largest process id
    assert track.main(["sync", "--root", str(tmp_path / "multirun")]) == 0
    assert MlflowClient(settings.uri).get_run(run_id).info.status == "KILLED"
