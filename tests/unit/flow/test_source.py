"""What a command on a finished run starts from, and what is said where there is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vision_research.config.command_schema import ExportCommand
from vision_research.config.errors import ConfigError
from vision_research.flow.source import find_source
from vision_research.storage.s3.mirror import Mirror
from vision_research.storage.s3.objects import RUN_STARTED
from vision_research.storage.s3.settings import SETTINGS, S3Settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir


@pytest.fixture
def run(tmp_path: Path) -> WorkDir:
    """A folder as a training leaves it."""
    work_dir = WorkDir(tmp_path / "runs" / "one")
    work_dir.root.mkdir(parents=True)
    work_dir.config_py.touch()
    for name in ("best_coco_bbox_mAP_epoch_2.pth", "epoch_2.pth", "epoch_3.pth"):
        (work_dir.root / name).touch()
    return work_dir


def test_the_best_checkpoint_that_the_run_noted_is_taken_wherever_the_folder_lies_now(run: WorkDir) -> None:
    (run.root / "best_coco_bbox_mAP_epoch_1.pth").touch()
    noted = {"path": "/elsewhere/best_coco_bbox_mAP_epoch_1.pth", "epoch": 1, "iteration": 40}
    run.outcome.write_text(json.dumps({"status": "FINISHED", "best": noted, "last": None}))

    source = find_source(ExportCommand(run=str(run.root)))

    assert source.checkpoint == run.root / "best_coco_bbox_mAP_epoch_1.pth"
    assert source.iteration == 40
    assert source.config == run.config_py
    assert source.export_dir == run.export_dir


def test_without_notes_the_best_comes_before_the_newest(run: WorkDir) -> None:
    assert find_source(ExportCommand(run=str(run.root))).checkpoint.name == "best_coco_bbox_mAP_epoch_2.pth"
    (run.root / "best_coco_bbox_mAP_epoch_2.pth").unlink()
    os.utime(run.root / "epoch_2.pth", (1, 1))
    assert find_source(ExportCommand(run=str(run.root))).checkpoint.name == "epoch_3.pth"


def test_a_typed_checkpoint_goes_with_the_config_of_the_run(run: WorkDir) -> None:
    source = find_source(ExportCommand(run=str(run.root), checkpoint=str(run.root / "epoch_2.pth")))
    assert (source.config, source.checkpoint) == (run.config_py, run.root / "epoch_2.pth")


def test_a_bare_checkpoint_needs_no_run(run: WorkDir) -> None:
    source = find_source(ExportCommand(config=str(run.config_py), checkpoint=str(run.root / "epoch_2.pth")))
    assert source.work_dir is None and not source.is_tracked
    assert source.export_dir == run.export_dir


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"run is not set. Type run=WORK_DIR, run=runs:/ID"),
        ({"checkpoint": "CHECKPOINT"}, r"config is not set: a bare checkpoint needs its config. Type config=FILE"),
        ({"config": "CONFIG"}, r"checkpoint is not set"),
        ({"checkpoint": "nowhere.pth", "config": "CONFIG"}, r"checkpoint=nowhere.pth: there is no such file"),
        ({"run": "RUN", "config": "CONFIG"}, r"a run has its own config"),
        ({"run": "RUNS/two"}, r"there is no run in it \(no config.py\). Type run=WORK_DIR; the newest in .* are .*one"),
    ],
)
def test_words_that_name_no_detector_are_refused(run: WorkDir, words: dict[str, str], message: str) -> None:
    places = {"CHECKPOINT": run.root / "epoch_2.pth", "CONFIG": run.config_py, "RUN": run.root, "RUNS": run.root.parent}
    for name, place in places.items():
        words = {
            key: value.replace(name, str(place)) if value.startswith(name) else value for key, value in words.items()
        }
    command = ExportCommand(**words)
    command.storage.runs = str(run.root.parent)
    with pytest.raises(ConfigError, match=message):
        find_source(command)


def test_a_run_without_a_checkpoint_is_refused(run: WorkDir) -> None:
    for path in run.root.glob("*.pth"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"no checkpoint is in .* Train it first, or type checkpoint=FILE"):
        find_source(ExportCommand(run=str(run.root)))


def test_a_run_in_s3_comes_to_this_machine(
    run: WorkDir, bucket: str, s3_settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (SETTINGS, RUN_STARTED):  # what a command hands down to its processes must not reach other tests
        monkeypatch.setenv(name, os.environ.get(name, "{}"))
    noted = {"path": "/elsewhere/best_coco_bbox_mAP_epoch_2.pth", "epoch": 2, "iteration": 80}
    run.outcome.write_text(json.dumps({"status": "FINISHED", "best": noted, "last": None}))
    Mirror(run, S3Uri.parse(f"{bucket}/kept/one"), s3_settings).update(everything=True)
    command = ExportCommand(run=f"{bucket}/kept/one/")
    command.storage.endpoint_url = s3_settings.endpoint_url
    command.storage.runs = str(tmp_path / "here")
    source = find_source(command)

    assert source.checkpoint == tmp_path / "here" / "one" / "best_coco_bbox_mAP_epoch_2.pth"
    assert (source.iteration, source.checkpoint.is_file()) == (80, True)
    assert find_source(command) == source, "what has come is used again"

    command.storage.runs = str(run.root.parent)
    with pytest.raises(ConfigError, match=rf"run={bucket}/kept/one/: {run.root} is another run. Type storage.runs="):
        find_source(command)
    command.run = f"{bucket}/kept/none"
    with pytest.raises(ConfigError, match=rf"run={bucket}/kept/none: there is no run in it"):
        find_source(command)
