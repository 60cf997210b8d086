from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from vision_research.config.errors import UserError
from vision_research.engine import jobs as tasks
from vision_research.engine.hooks.finite_loss import NonFiniteLossError
from vision_research.work_dir import WorkDir
from vision_research.worker import main


@pytest.fixture
def run_dir(toy_config: dict[str, Any], with_validation: Any, monkeypatch: pytest.MonkeyPatch) -> WorkDir:
    """A folder with a config.py that trains the toy detector for three epochs."""
    monkeypatch.setattr("mmengine.runner.runner.collect_env", dict)
    work_dir = WorkDir(Path(toy_config["work_dir"]))
    work_dir.root.mkdir()
    best = {"type": "CheckpointHook", "interval": 1, "save_best": "toy/mAP", "rule": "greater"}
    config = {**toy_config, **with_validation([0.1, 0.3, 0.2]), "default_hooks": {"checkpoint": best}}
    config["custom_hooks"] = [{"type": "FiniteLossHook"}, {"type": "GracefulStopHook"}]
    Config(config).dump(work_dir.config_py)
    return work_dir


@pytest.fixture(autouse=True)
def as_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the loggers and message hubs of the run before: they are global and named by the second they began in."""
    build = tasks._build_runner

    def build_afresh(*args: Any) -> Any:
        for kept in (MMLogger, MessageHub, Visualizer, DefaultScope):
            kept._instance_dict.clear()
        return build(*args)

    monkeypatch.setattr(tasks, "_build_runner", build_afresh)


def outcome(run_dir: WorkDir) -> dict[str, Any]:
    return json.loads(run_dir.outcome.read_text())


def change(run_dir: WorkDir, **keys: Any) -> None:
    config = Config.fromfile(run_dir.config_py)
    config.merge_from_dict(keys)
    config.dump(run_dir.config_py)


@pytest.mark.slow
def test_a_finished_training_says_how_it_went_and_leaves_its_config_alone(run_dir: WorkDir) -> None:
    written = run_dir.config_py.read_bytes()
    tasks.train(run_dir, None)

    ended = outcome(run_dir)
    assert (ended["status"], ended["epoch"], ended["iter"]) == ("FINISHED", 3, 18)
    assert ended["metrics"] == {"toy/mAP": 0.2}
    assert (ended["best"]["epoch"], ended["best"]["score"]) == (2, 0.3)
    assert ended["last"]["path"] == str(run_dir.root / "epoch_3.pth")
    assert run_dir.config_py.read_bytes() == written


def test_a_stop_request_ends_it_as_killed_without_an_error(run_dir: WorkDir) -> None:
    run_dir.stop_request.touch()
    assert main([str(run_dir.root), "--task", "train"]) == 0

    ended = outcome(run_dir)
    assert (ended["status"], ended["last"]["iteration"]) == ("KILLED", 1)
    assert "stopped as asked after iteration 1" in ended["cause"]


@pytest.mark.slow
def test_it_resumes_from_a_checkpoint_also_after_the_folder_has_moved(run_dir: WorkDir, tmp_path: Path) -> None:
    run_dir.stop_request.touch()
    tasks.train(run_dir, None)
    run_dir.stop_request.unlink()
    moved = WorkDir(Path(shutil.move(run_dir.root, tmp_path / "moved")))
    assert main([str(moved.root), "--task", "train", "--resume", str(moved.root / "iter_1.pth")]) == 0

    assert (outcome(moved)["status"], outcome(moved)["iter"]) == ("FINISHED", 18)
    assert not run_dir.root.exists(), "something was written into the old folder"
    assert not (moved.root / "iter_1.pth").exists(), "the checkpoint of the stop outlived the epoch's own"


def test_a_nan_ends_it_as_failed_and_names_the_images(run_dir: WorkDir, capsys: pytest.CaptureFixture[str]) -> None:
    poisoned = [{"type": "ToyLoad", "stage": "strong", "poisoned": 7}]
    change(run_dir, **{"train_dataloader.dataset.pipeline": poisoned})
    with pytest.raises(NonFiniteLossError):
        tasks.train(run_dir, None)

    ended = outcome(run_dir)
    assert (ended["status"], ended["error_type"]) == ("FAILED", "NonFiniteLossError")
    assert "images/7.jpg" in ended["image_names"]
    assert ended["iter"] < 6


def test_a_problem_that_a_person_can_mend_is_printed_without_a_traceback(
    run_dir: WorkDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise UserError("take another one")

    monkeypatch.setattr(tasks, "_build_runner", refuse)
    assert main([str(run_dir.root), "--task", "train"]) == 1

    assert capsys.readouterr().err == "take another one\n"
    assert (outcome(run_dir)["status"], outcome(run_dir)["cause"]) == ("FAILED", "take another one")


@pytest.mark.slow
def test_a_rank_that_torchrun_starts_again_goes_on_from_the_newest_whole_checkpoint(
    run_dir: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(run_dir, **{"train_cfg.max_epochs": 2})
    tasks.train(run_dir, None)
    (run_dir.root / "epoch_2.pth").write_bytes((run_dir.root / "epoch_2.pth").read_bytes()[:1000])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    begun: list[int] = []
    monkeypatch.setattr(
        "vision_research.engine.loops.ResumableEpochLoop.run", lambda loop: begun.append(loop._iter), raising=True
    )
    tasks.train(run_dir, None)

    assert begun == [6], "epoch_1.pth has six iterations"


@pytest.mark.slow
def test_a_restart_before_the_first_checkpoint_starts_from_the_beginning(
    run_dir: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    tasks.train(run_dir, None)
    assert outcome(run_dir)["iter"] == 18


def test_the_help_of_the_worker_answers_without_loading_torch() -> None:
    code = "import sys, vision_research.worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
