"""The train command as a person uses it, from the words typed to the record in MLflow."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from workplace import Finished, Workplace

pytestmark = pytest.mark.slow
Wait = Callable[..., None]


def client(workplace: Workplace) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workplace.folder}/mlflow.db")


def run_of(workplace: Workplace, work_dir: str) -> Run:
    record = json.loads((workplace.folder / work_dir / "run.json").read_text())
    return client(workplace).get_run(record["run_id"])


def artifacts(workplace: Workplace, run: Run, folder: str = "") -> set[str]:
    return {Path(entry.path).name for entry in client(workplace).list_artifacts(run.info.run_id, folder)}


def scalars(folder: Path) -> list[dict[str, float]]:
    lines = [line for file in sorted(folder.glob("*/vis_data/scalars.json")) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def losses(folder: Path) -> list[dict[str, float]]:
    return [entry for entry in scalars(folder) if "loss" in entry]


def test_one_run_from_words_to_record(finished: Finished) -> None:
    printed, folder = finished.printed, finished.folder / "runs/one"
    assert "Warning" not in printed and "Traceback" not in printed

    assert {"config.yaml", "config.py", "overrides.txt", "launch.json", "last_checkpoint"} <= {
        path.name for path in folder.iterdir()
    }
    assert "aug=mosaic_mixup" in (folder / "overrides.txt").read_text().splitlines()
    assert json.loads((folder / "launch.json").read_text())["command"][1:3] == ["-m", "vision_research.torchrun"]
    assert re.search(r"status +FINISHED", printed)
    assert re.search(rf"work_dir +{folder}$", printed, re.MULTILINE)
    assert "mlflow ui --backend-store-uri sqlite:///" in printed

    run = run_of(finished, "runs/one")
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["model"], params["aug"], params["data"], params["schedule"]) == (
        "rtmdet_tiny",
        "mosaic_mixup",
        "digits",
        "tiny",
    )
    assert (params["batch_size"], params["effective_batch"], params["seed"]) == ("4", "4", "7")
    assert len(params) < 30, "never the whole config as params"
    assert {"host", "mlflow.user"} <= set(run.data.tags)
    assert "-m vision_research.train" in run.data.tags["command"] and "seed=7" in run.data.tags["command"]
    assert "epoch 6" in run.data.tags["pipeline_stage"], "the switch is a tag with its epoch"
    assert {"train/loss", "train/lr", "train/images_per_s", "val/bbox_mAP", "val/AP/3"} <= set(run.data.metrics)
    history = client(finished).get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in history] == list(range(1, 33))
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.name == "digits" and dataset.digest

    assert {"config.yaml", "config.py", "overrides.txt", "launch.json", "environment.txt"} <= artifacts(finished, run)
    assert {"model.ts", "model.ts.json"} <= artifacts(finished, run, "model")
    assert any(name.startswith("best_") for name in artifacts(finished, run, "checkpoints"))
    assert "epoch_8.pth" in artifacts(finished, run, "checkpoints")


@pytest.mark.fault(
    "SIGKILL of the command in an epoch, and the newest checkpoint cut off",
    "a resume takes the one before; every loss is recorded",
)
def test_a_run_killed_outright_goes_on_in_the_same_mlflow_run(workplace: Workplace, eventually: Wait) -> None:
    words = ("work_dir=runs/killed", "schedule.max_epochs=4", "export=none")
    process = workplace.start(*words)
    folder = workplace.folder / "runs/killed"
    eventually(lambda: (folder / "epoch_2.pth").exists())
    process.kill()
    process.communicate()
    before = json.loads((folder / "run.json").read_text())["run_id"]
    # The ranks notice that their command is gone, save, and leave the folder.
    eventually(
        lambda: "status" in (folder / "outcome.json").read_text() if (folder / "outcome.json").exists() else False
    )
    # A crash in the middle of writing: the newest checkpoint is cut off, and the one before it is taken.
    newest = max((*folder.glob("epoch_*.pth"), *folder.glob("iter_*.pth")), key=lambda path: path.stat().st_mtime)
    newest.write_bytes(newest.read_bytes()[:1000])

    printed = workplace.run(*words, "resume=true")
    assert f"{newest.name}: truncated by a crash" in printed
    run = run_of(workplace, "runs/killed")
    assert run.info.run_id == before
    assert run.info.status == "FINISHED"
    steps = {point.step for point in client(workplace).get_metric_history(before, "train/loss")}
    assert steps == set(range(1, 17)), "every iteration of the four epochs, once resumed"


def test_each_signal_saves_a_checkpoint_on_all_ranks_from_which_the_run_goes_on(
    workplace: Workplace, eventually: Wait
) -> None:
    words = ("work_dir=runs/stopped", "hw=2cpu", "schedule.max_epochs=50", "schedule.val_interval=50", "export=none")
    folder = workplace.folder / "runs/stopped"
    resumed: tuple[str, ...] = ()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = len(losses(folder))
        process = workplace.start(*(resumed or words), tiny=not resumed)
        eventually(lambda before=before: len(losses(folder)) >= before + 3)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=180)
        assert process.returncode == code, printed
        assert "go on" in printed and f"resume={folder}" in printed
        done = max(int(entry["iter"]) for entry in losses(folder))
        assert (folder / f"iter_{done}.pth").is_file()
        assert run_of(workplace, "runs/stopped").info.status == "KILLED"
        resumed = (f"resume={folder}",)

    epochs = done // 2 + 1  # two iterations each, on two ranks
    workplace.run(*resumed, f"schedule.max_epochs={epochs}", f"schedule.val_interval={epochs}", tiny=False)
    run = run_of(workplace, "runs/stopped")
    assert run.info.status == "FINISHED"
    steps = [point.step for point in client(workplace).get_metric_history(run.info.run_id, "train/loss")]
    assert steps == list(range(1, 2 * epochs + 1)), "every iteration once"


def test_a_sweep_makes_one_run_per_job_under_one_parent(workplace: Workplace) -> None:
    words = ("-m", "schedule.lr=0.001,0.002", "export=none", "tracking.experiment=sweep", "schedule.max_epochs=1")
    workplace.run(*words, "hydra.sweep.dir=runs/sweep")
    experiment = client(workplace).get_experiment_by_name("sweep")
    runs = client(workplace).search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1 and parents[0].info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert sorted(run.data.params["lr"] for run in children) == ["0.001", "0.002"]


@pytest.mark.fault("a job of a sweep fails", "the others run; the sweep is FAILED")
def test_a_sweep_with_a_job_that_fails_runs_the_others_and_is_recorded_as_failed(workplace: Workplace) -> None:
    words = ("-m", "schedule.lr=-1,0.001", "export=none", "tracking.experiment=broken", "schedule.max_epochs=1")
    printed = workplace.run(*words, "hydra.sweep.dir=runs/broken", expect=1)
    assert "schedule.lr=-1.0: has to be over 0" in printed and "Traceback" not in printed
    experiment = client(workplace).get_experiment_by_name("broken")
    statuses = {
        "parent" if "mlflow.parentRunId" not in run.data.tags else "job": (
            run.info.status,
            run.data.tags.get("status_cause"),
        )
        for run in client(workplace).search_runs([experiment.experiment_id])
    }
    assert statuses == {"parent": ("FAILED", "1 jobs failed"), "job": ("FINISHED", None)}


def test_a_sweep_that_is_stopped_is_recorded_as_killed(workplace: Workplace, eventually: Wait) -> None:
    words = ("-m", "schedule.lr=0.002,0.001", "export=none", "tracking.experiment=stopped", "schedule.max_epochs=50")
    process = workplace.start(*words, "hydra.sweep.dir=runs/sweep-stopped", "schedule.val_interval=50")
    eventually(lambda: len(scalars(workplace.folder / "runs/sweep-stopped/0")) >= 2)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=180)
    assert process.returncode == 130, printed
    runs = client(workplace).search_runs([client(workplace).get_experiment_by_name("stopped").experiment_id])
    assert [run.info.status for run in runs] == ["KILLED", "KILLED"], "the job and its parent; no second job"


@pytest.mark.fault("a loss that is not a number", "FAILED, with the names of the images; the weights are not saved")
def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_images(workplace: Workplace) -> None:
    words = (
        "work_dir=runs/nan",
        "schedule.lr=1.0e30",
        "schedule.warmup_iters=0",
        "schedule.clip_grad=0",
        "export=none",
    )
    printed = workplace.run(*words, expect=1)
    assert re.search(r"loss is (nan|inf|not finite)|non-finite|not finite", printed, re.IGNORECASE), printed[-3000:]
    assert ".jpg" in printed
    run = run_of(workplace, "runs/nan")
    assert run.info.status == "FAILED"
    assert "iteration" in run.data.tags["status_cause"]
