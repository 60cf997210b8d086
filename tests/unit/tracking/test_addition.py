"""Results of later commands are added to the run that ended, at once or when MLflow is back."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from vision_research import track
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.sync import needs_delivery
from vision_research.tracking.tracked_run import adding_to
from vision_research.work_dir import WorkDir


@pytest.fixture
def ended(settings: TrackingSettings, work_dir: WorkDir) -> WorkDir:
    """A run that finished, and was delivered whole."""
    run = start_run(settings, work_dir, {"lr": "1"}, {})
    work_dir.owner_lock.touch()
    assert run.finish("FINISHED").complete
    return work_dir


@pytest.mark.slow
def test_results_arrive_and_the_run_stays_as_it_ended(
    ended: WorkDir, settings: TrackingSettings, tmp_path: Path
) -> None:
    (tmp_path / "curves.png").write_bytes(b"png")
    run_id = RunRecord.read(ended.run_json).run_id
    client = MlflowClient(settings.uri)
    before = client.get_run(run_id).info

    with adding_to(ended) as run:
        run.log_metrics({"test/bbox_mAP": 0.5, "test/AP/a,b": 0.25}, step=40)
        run.set_tags({"test.split": "val"})
        run.log_artifact(tmp_path / "curves.png", "threshold")

    found = client.get_run(run_id)
    assert found.data.metrics == {"test/bbox_mAP": 0.5, "test/AP/a_x002C_b": 0.25}
    assert found.data.tags["test.split"] == "val"
    assert [entry.path for entry in client.list_artifacts(run_id, "threshold")] == ["threshold/curves.png"]
    assert (found.info.status, found.info.end_time) == (before.status, before.end_time)
    assert not needs_delivery(ended.root)


def test_with_mlflow_away_nothing_is_lost(
    ended: WorkDir, settings: TrackingSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    database.rename(away)
    with adding_to(ended) as run:
        run.log_metrics({"test/bbox_mAP": 0.5}, step=40)
    assert "1 records wait" in caplog.text and "python -m vision_research.track sync" in caplog.text
    assert not database.exists(), "no new database was made in its place"

    away.rename(database)
    assert track.main(["sync", str(ended.root)]) == 0
    run_id = RunRecord.read(ended.run_json).run_id
    assert MlflowClient(settings.uri).get_run(run_id).data.metrics == {"test/bbox_mAP": 0.5}
