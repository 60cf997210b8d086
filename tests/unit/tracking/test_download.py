"""A run of MLflow becomes a work_dir here."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.flow.source import best_checkpoint
from vision_research.tracking.download import download_run
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.sync import is_running, needs_delivery
from vision_research.tracking.tracked_run import TrackedRun, adding_to
from vision_research.work_dir import WorkDir


@pytest.fixture
def tracked(settings: TrackingSettings, work_dir: WorkDir) -> TrackedRun:
    """A run with its config and two checkpoints, still open."""
    run = start_run(settings, work_dir, {}, {})
    for name, folder in (("config.py", None), ("best_x_epoch_1.pth", "checkpoints"), ("epoch_2.pth", "checkpoints")):
        (work_dir.root / name).write_text(name)
        run.log_artifact(work_dir.root / name, folder)
    run.set_tags({"checkpoint.best": "best_x_epoch_1.pth, epoch 1, iteration 40"})
    return run


def test_a_run_comes_with_its_config_and_best_checkpoint(
    tracked: TrackedRun, settings: TrackingSettings, tmp_path: Path
) -> None:
    assert tracked.finish("FINISHED").complete
    runs = tmp_path / "brought"

    work_dir = WorkDir(download_run(tracked.run_id, settings.uri, 5, runs))

    assert work_dir.root == runs / tracked.run_id
    assert work_dir.config_py.read_text() == "config.py"
    assert not (work_dir.root / "epoch_2.pth").exists(), "only the best one is fetched"
    assert best_checkpoint(work_dir, "") == (work_dir.root / "best_x_epoch_1.pth", 40)
    assert not needs_delivery(work_dir.root) and not is_running(work_dir.root)
    with adding_to(work_dir) as run:
        run.log_metrics({"test/bbox_mAP": 0.5}, step=40)
    found = MlflowClient(settings.uri).get_run(tracked.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"test/bbox_mAP": 0.5})


def test_a_run_that_lies_here_is_not_fetched_again(tracked: TrackedRun, work_dir: WorkDir) -> None:
    assert download_run(tracked.run_id, "http://127.0.0.1:1", 5, work_dir.root.parent) == work_dir.root


def test_a_run_that_is_still_running_is_refused(
    tracked: TrackedRun, settings: TrackingSettings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is RUNNING: its checkpoint is uploaded at its end"):
        download_run(tracked.run_id, settings.uri, 5, tmp_path / "brought")
    assert tracked.finish("KILLED").complete


def test_a_run_without_a_checkpoint_leaves_nothing_behind(
    settings: TrackingSettings, work_dir: WorkDir, tmp_path: Path
) -> None:
    run = start_run(settings, work_dir, {}, {})
    work_dir.config_py.touch()
    run.log_artifact(work_dir.config_py)
    assert run.finish("FAILED").complete
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        download_run(run.run_id, settings.uri, 5, tmp_path / "brought")
    assert not (tmp_path / "brought").exists()


def test_an_unknown_run_and_a_store_that_is_away_are_told_apart(settings: TrackingSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run=runs:/0123: no such run is in sqlite:///.* Type tracking.uri=URI"):
        download_run("0123", settings.uri, 5, tmp_path / "brought")
    with pytest.raises(EnvironmentProblem, match="nothing answers there"):
        download_run("0123", "http://127.0.0.1:1", 1, tmp_path / "brought")
    with pytest.raises(EnvironmentProblem, match=r"gone.db is gone"):
        download_run("0123", f"sqlite:///{tmp_path}/gone.db", 1, tmp_path / "brought")
    assert not (tmp_path / "gone.db").exists()
