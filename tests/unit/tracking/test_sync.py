from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from vision_research import track
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.spool import SpoolWriter
from vision_research.tracking.sync import deliver_run, find_runs, find_undelivered, is_running, needs_delivery
from vision_research.tracking.tracked_run import TrackedRun
from vision_research.work_dir import WorkDir

RESULTS = ("checkpoints", "logs", "model")
MakeRun = Callable[[str], tuple[TrackedRun, WorkDir]]


@pytest.fixture
def left(settings: TrackingSettings, tmp_path: Path) -> MakeRun:
    """Make runs whose command is gone: it had locked the work_dir, wrote 20 losses, and delivered nothing."""

    def make(name: str) -> tuple[TrackedRun, WorkDir]:
        work_dir = WorkDir(tmp_path / "runs" / name)
        work_dir.root.mkdir(parents=True)
        work_dir.owner_lock.touch()
        run = start_run(settings, work_dir, {"lr": "1"}, {})
        writer = SpoolWriter(work_dir.spool)
        for step in range(20):
            writer.metrics({"train/loss": float(step)}, step)
        return run, work_dir

    return make


def status(run: TrackedRun) -> tuple[str, str | None]:
    found = MlflowClient(run.record.uri).get_run(run.run_id)
    return found.info.status, found.data.tags.get("status_cause")


def num_losses(run: TrackedRun) -> int:
    return len(MlflowClient(run.record.uri).get_metric_history(run.run_id, "train/loss"))


def test_a_run_whose_command_was_killed_is_completed_and_killed(
    left: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run, work_dir = left("first")
    assert track.main(["sync", str(work_dir.root)]) == 0
    assert num_losses(run) == 20
    assert status(run) == ("KILLED", "the command was killed")
    assert capsys.readouterr().out == f"{work_dir.root}: complete (22 records delivered)\n"


def test_a_killed_run_ended_when_it_last_wrote(left: MakeRun) -> None:
    run, work_dir = left("first")
    for path in (*work_dir.spool.iterdir(), work_dir.run_json):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    track.main(["sync", str(work_dir.root)])
    assert MlflowClient(run.record.uri).get_run(run.run_id).info.end_time == 1_700_000_000_000


def test_what_the_ranks_said_outlives_their_command(left: MakeRun) -> None:
    run, work_dir = left("first")
    work_dir.outcome.write_text(json.dumps({"status": "FAILED", "cause": "the loss is NaN at step 12"}))
    assert track.main(["sync", str(work_dir.root)]) == 0
    assert status(run) == ("FAILED", "the loss is NaN at step 12")


@pytest.mark.parametrize(
    ("formats", "exported", "ended"),
    [
        ("[]", None, ("FINISHED", None)),
        ("[torchscript]", None, ("KILLED", "the command was killed after the training; the model was not exported")),
        (
            "[torchscript]",
            {"status": "FAILED", "cause": "no space"},
            ("KILLED", "the command was killed after the training; the export failed: no space"),
        ),
        ("[torchscript]", {"status": "FINISHED"}, ("FINISHED", None)),
    ],
)
@pytest.mark.fault("SIGKILL of the command after the training", "FINISHED only if all that was asked for is there")
def test_a_command_that_was_killed_after_the_training_is_finished_if_everything_is_there(
    left: MakeRun, formats: str, exported: dict[str, str] | None, ended: tuple[str, str | None]
) -> None:
    run, work_dir = left("first")
    work_dir.config_yaml.write_text(f"tracking: {{log_checkpoints: true}}\nexport: {{formats: {formats}}}\n")
    work_dir.outcome.write_text(json.dumps({"status": "FINISHED"}))
    (work_dir.root / "epoch_1.pth").write_bytes(b"older")
    (work_dir.root / "epoch_2.pth").write_bytes(b"weights")
    os.utime(work_dir.root / "epoch_1.pth", (1, 1))
    (work_dir.root / "2026").mkdir()
    (work_dir.root / "2026" / "2026.log").write_text("what the ranks said")
    if exported is not None:
        work_dir.export_dir.mkdir()
        model = work_dir.export_dir / "model.onnx"
        model.write_bytes(b"model")
        work_dir.export_outcome.write_text(json.dumps({**exported, "artifact": str(model)}))
    assert track.main(["sync", str(work_dir.root)]) == 0
    assert status(run) == ended
    client = MlflowClient(run.record.uri)
    found = {name: [entry.path for entry in client.list_artifacts(run.run_id, name)] for name in RESULTS}
    assert found["checkpoints"] == ["checkpoints/epoch_2.pth"] and found["logs"] == ["logs/2026.log"]
    assert found["model"] == (["model/model.onnx"] if ended[0] == "FINISHED" and exported else [])


def test_all_runs_below_the_root_are_delivered(
    left: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [left("a")[0], left("sweep/0")[0], left("sweep/1")[0]]
    assert find_runs(tmp_path) == find_undelivered(tmp_path)
    assert len(find_undelivered(tmp_path)) == 3
    assert track.main(["sync", "--root", str(tmp_path / "runs")]) == 0
    assert [num_losses(run) for run in runs] == [20, 20, 20]
    assert find_undelivered(tmp_path) == []
    for name, text in (("other", '{"a": 1}'), ("torn", "{")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_text(text)
    capsys.readouterr()
    assert track.main(["sync", "--root", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out == "MLflow has everything\n"


def test_a_running_command_is_left_alone(
    left: MakeRun, settings: TrackingSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    run, work_dir = left("first")
    with work_dir.owner_lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_running(work_dir.root)
        assert find_undelivered(work_dir.root) == []
        assert track.main(["sync", str(work_dir.root)]) == 0
        assert deliver_run(work_dir.root).complete  # its records may go out, its end is not ours to tell
    assert "its command is running and delivers by itself" in capsys.readouterr().out
    assert status(run)[0] == "RUNNING"
    assert not is_running(work_dir.root)


def test_without_a_lock_the_process_decides(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {}, {})
    assert is_running(work_dir.root)
    replace(run.record, pid=2**22 + 1).write(work_dir.run_json)  # beyond Linux's largest process id
    assert not is_running(work_dir.root)


def test_on_another_machine_only_an_hour_of_silence_tells(settings: TrackingSettings, work_dir: WorkDir) -> None:
    run = start_run(settings, work_dir, {}, {})
    replace(run.record, host=f"not-{socket.gethostname()}").write(work_dir.run_json)
    assert is_running(work_dir.root)
    for path in (*work_dir.spool.iterdir(), work_dir.run_json):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert not is_running(work_dir.root)


@pytest.mark.fault("MLflow is away at the end of a run", "everything stays in the spool, and what to type is said")
def test_a_store_that_is_away_leaves_everything_and_says_what_to_type(
    left: MakeRun, settings: TrackingSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, work_dir = left("first")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    replace(run.record, uri=f"http://127.0.0.1:{port}").write(work_dir.run_json)
    shutil.copytree(work_dir.root, work_dir.root.with_name("second"))
    assert track.main(["sync", "--root", str(tmp_path / "runs")]) == 1
    out = capsys.readouterr().out
    assert out.count("0 records delivered, 22 wait: ") == 2
    assert "nothing answers there" in out
    assert "2 of 2 runs still wait. Nothing is lost; type the same again when MLflow is back" in out
    run.record.write(work_dir.run_json)
    assert track.main(["sync", str(work_dir.root)]) == 0
    assert num_losses(run) == 20


def test_a_complete_run_needs_no_store(settings: TrackingSettings, work_dir: WorkDir, tmp_path: Path) -> None:
    start_run(settings, work_dir, {}, {}).finish("FINISHED")
    assert not needs_delivery(work_dir.root)
    (tmp_path / "mlflow.db").unlink()
    assert track.main(["sync", str(work_dir.root)]) == 0


@pytest.mark.fault("MLflow's database file is deleted", "an error that says so; no new one is made")
def test_a_database_that_is_gone_is_not_made_anew(
    left: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, work_dir = left("first")
    (tmp_path / "mlflow.db").rename(tmp_path / "moved.db")
    assert track.main(["sync", str(work_dir.root)]) == 1
    assert "mlflow.db is gone. Put it back where it was" in capsys.readouterr().out
    assert not (tmp_path / "mlflow.db").exists()


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert track.main(["sync", str(tmp_path)]) == 1
    assert f"{tmp_path}: no tracked run is there (no run.json). Type" in capsys.readouterr().err
    assert track.main(["sync", "--root", str(tmp_path / "runs")]) == 1
    assert "python -m vision_research.track sync --root runs" in capsys.readouterr().err
