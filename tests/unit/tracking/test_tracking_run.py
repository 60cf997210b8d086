from __future__ import annotations

import json
import math
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.tracking.records import DatasetRecord
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.spool import SpoolWriter
from vision_research.work_dir import WorkDir

DIGITS = DatasetRecord("digits", "d" * 64, "/data/digits", 300, 100, ("0", "1"))


def stored(settings: TrackingSettings, run_id: str) -> Run:
    return MlflowClient(settings.uri).get_run(run_id)


def test_run_json_is_there_before_anything_else(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {}, {})
    record = json.loads(work_dir.run_json.read_text())
    assert record["run_id"] == run.run_id
    assert record["uri"] == settings.uri
    assert record["experiment"] == "bccd"
    assert (record["host"], record["pid"], record["resumes"]) == (socket.gethostname(), os.getpid(), 0)
    assert stored(settings, run.run_id).info.status == "RUNNING"


def test_a_finished_run_holds_everything(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {"lr": "0.004"}, {"mlflow.user": "ada"}, DIGITS)
    run.start_delivery()
    SpoolWriter(work_dir.spool).metrics({"train/loss": math.nan, "train/grad_norm": math.inf}, 10)
    run.log_metrics({"val/bbox_mAP": 0.5}, 20)
    run.set_tags({"aug.switched_at_epoch": "8"})
    (work_dir.root / "config.py").write_text("model = {}\n")
    run.log_artifact(work_dir.root / "config.py", "config")
    delivery = run.finish("FINISHED")

    assert delivery.complete
    assert delivery.delivered == 8  # params, data set, 2 metrics, tags, artifact (met, then copied), status
    found = stored(settings, run.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    assert found.data.params == {"lr": "0.004"}
    assert math.isnan(found.data.metrics["train/loss"])
    assert found.data.metrics["train/grad_norm"] == pytest.approx(1.797e308, rel=1e-3)
    assert found.data.metrics["val/bbox_mAP"] == 0.5
    assert found.data.tags["mlflow.user"] == "ada"
    assert found.data.tags["aug.switched_at_epoch"] == "8"
    assert found.inputs is not None
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("digits", "d" * 36)
    assert json.loads(data.dataset.profile or "") == {"num_train": 300, "num_val": 100, "classes": ["0", "1"]}
    artifact = (
        Path(settings.uri.removeprefix("sqlite:///")).parent / "mlartifacts" / run.run_id / "artifacts/config/config.py"
    )
    assert artifact.read_text() == "model = {}\n"


def test_a_finished_run_leaves_no_segments(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {"lr": "1"}, {})
    killed_writer = SpoolWriter(work_dir.spool)
    killed_writer.metrics({"train/loss": 1.0}, 1)
    run.finish("KILLED", "SIGTERM")
    assert list(work_dir.spool.glob("*.jsonl")) == []


@pytest.mark.parametrize(("status", "cause"), [("FAILED", "the loss is NaN at step 12"), ("KILLED", "Ctrl-C")])
def test_a_run_that_did_not_finish_says_why(
    settings: TrackingSettings, work_dir: WorkDir, status: str, cause: str
) -> None:
    run = start_run(settings, work_dir, {}, {})
    run.finish(status, cause)
    found = stored(settings, run.run_id)
    assert (found.info.status, found.data.tags["status_cause"]) == (status, cause)


def test_resuming_goes_on_in_the_same_run(settings: TrackingSettings, work_dir: WorkDir) -> None:
    first = start_run(settings, work_dir, {"lr": "0.004", "seed": "0"}, {"host": "a", "mlflow.user": "ada"})
    first.log_metrics({"train/loss": 2.0}, 10)
    first.finish("KILLED", "Ctrl-C")
    again = start_run(
        settings, work_dir, {"lr": "0.002", "seed": "0", "hw": "cpu"}, {"host": "b", "mlflow.user": "ada"}, resume=True
    )
    assert again.run_id == first.run_id
    assert stored(settings, first.run_id).info.status == "RUNNING"
    assert "status_cause" not in stored(settings, first.run_id).data.tags
    again.log_metrics({"train/loss": 1.0}, 20)
    again.finish("FINISHED")

    found = stored(settings, first.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.004", "seed": "0", "hw": "cpu"}
    assert found.data.tags["resume_1.lr"] == "0.004 -> 0.002"
    assert found.data.tags["resume_1.host"] == "b"
    assert (found.data.tags["host"], found.data.tags["resumes"]) == ("a", "1")
    assert not [key for key in found.data.tags if key.startswith("resume_1.") and key.endswith(("seed", "user"))]
    history = MlflowClient(settings.uri).get_metric_history(first.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(10, 2.0), (20, 1.0)]


def test_resuming_what_was_never_recorded_opens_a_run(settings: TrackingSettings, work_dir: WorkDir) -> None:
    assert start_run(settings, work_dir, {}, {}, resume=True).record.resumes == 0


def test_resuming_stays_in_the_store_of_the_run(settings: TrackingSettings, work_dir: WorkDir, tmp_path: Path) -> None:
    first = start_run(settings, work_dir, {}, {})
    elsewhere = replace(settings, uri=f"sqlite:///{tmp_path}/other.db")
    assert start_run(elsewhere, work_dir, {}, {}, resume=True).run_id == first.run_id
    assert not (tmp_path / "other.db").exists()


def test_a_folder_of_another_run_is_refused(settings: TrackingSettings, work_dir: WorkDir) -> None:
    start_run(settings, work_dir, {}, {})
    with pytest.raises(ConfigError, match=r"work_dir=.*first: it is recorded.*Type resume=true"):
        start_run(settings, work_dir, {}, {})


def test_a_run_that_was_deleted_cannot_be_resumed(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {}, {})
    MlflowClient(settings.uri).delete_run(run.run_id)
    with pytest.raises(
        EnvironmentProblem, match=r"is not in sqlite.* any more\. Restore it there, or delete run\.json"
    ):
        start_run(settings, work_dir, {}, {}, resume=True)


def test_a_deleted_experiment_is_refused_with_the_way_out(settings: TrackingSettings, work_dir: WorkDir) -> None:
    client = MlflowClient(settings.uri)
    client.delete_experiment(client.create_experiment("bccd"))
    with pytest.raises(ConfigError, match=r"tracking\.experiment=bccd: .*mlflow experiments restore --experiment-id 1"):
        start_run(settings, work_dir, {}, {})
    assert not work_dir.run_json.exists()


def test_a_store_that_is_away_stops_the_command_before_it_starts(work_dir: WorkDir) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        EnvironmentProblem, match=r"nothing answers there.*Start the server: mlflow server.*tracking=none"
    ):
        start_run(TrackingSettings(f"http://127.0.0.1:{port}", "bccd"), work_dir, {}, {})
    assert list(work_dir.root.iterdir()) == []


def test_a_job_of_a_sweep_hangs_below_its_parent(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(replace(settings, run_name="job", tags={"team": "blood"}), work_dir, {}, {}, parent_run_id="abc")
    found = stored(settings, run.run_id)
    assert found.data.tags["mlflow.parentRunId"] == "abc"
    assert found.data.tags["team"] == "blood"
    assert found.info.run_name == "job"
