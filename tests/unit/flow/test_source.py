"""What a command on a finished run starts from, and what is said where there is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mmengine.fileio as fileio
import pytest

import vision_research.storage.s3.backend  # noqa: F401
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
    assert source.work_dir is None and source.run_id is None
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


@pytest.mark.slow
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


@pytest.fixture
def reached(s3_settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExportCommand:
    """Words that reach the test server; what they hand down to processes and what they fetch goes with the test."""
    for name in (SETTINGS, RUN_STARTED):
        monkeypatch.setenv(name, os.environ.get(name, "{}"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    command = ExportCommand()
    command.storage.endpoint_url = s3_settings.endpoint_url
    command.storage.runs = str(tmp_path / "runs")
    return command


@pytest.mark.slow
def test_a_bare_checkpoint_and_its_config_may_lie_in_s3(reached: ExportCommand, bucket: str, tmp_path: Path) -> None:
    fileio.put(b"weights", f"{bucket}/kept/a b+#.pth")
    fileio.put(b"model = dict()", f"{bucket}/kept/own.py")
    reached.checkpoint, reached.config = f"{bucket}/kept/a b+#.pth", f"{bucket}/kept/own.py"

    source = find_source(reached)

    assert (source.checkpoint.name, source.checkpoint.read_bytes()) == ("a b+#.pth", b"weights")
    assert (source.config.name, source.config.read_bytes()) == ("own.py", b"model = dict()")
    assert source.checkpoint.is_relative_to(tmp_path / "torch" / "hub" / "checkpoints")
    assert source.work_dir is None and source.export_dir == tmp_path / "runs" / "a b+#" / "export"
    before = source.checkpoint.stat().st_mtime_ns
    assert find_source(reached) == source
    assert source.checkpoint.stat().st_mtime_ns == before, "what has come is used again"

    fileio.put(b"WEIGHTS", f"{bucket}/kept/a b+#.pth")
    assert find_source(reached).checkpoint.read_bytes() == b"WEIGHTS", "of the same size, and another version"
    assert len([path for path in (tmp_path / "torch").rglob("*") if path.is_file()]) == 3


def test_a_checkpoint_in_s3_goes_with_a_config_here_and_with_a_run(
    reached: ExportCommand, run: WorkDir, bucket: str
) -> None:
    fileio.put(b"weights", f"{bucket}/x.pth")
    reached.checkpoint, reached.config = f"{bucket}/x.pth", str(run.config_py)
    assert find_source(reached).config == run.config_py

    reached.config, reached.run = None, str(run.root)
    source = find_source(reached)
    assert (source.checkpoint.read_bytes(), source.export_dir) == (b"weights", run.export_dir)


def test_what_is_not_in_s3_is_named(reached: ExportCommand, run: WorkDir, bucket: str) -> None:
    reached.checkpoint, reached.config = f"{bucket}/none.pth", str(run.config_py)
    with pytest.raises(ConfigError, match=rf"checkpoint={bucket}/none.pth: there is no such object. Type checkpoint="):
        find_source(reached)
    reached.checkpoint, reached.config = str(run.root / "epoch_2.pth"), f"{bucket}/none.py"
    with pytest.raises(ConfigError, match=rf"config={bucket}/none.py: there is no such object. Type config="):
        find_source(reached)


@pytest.mark.parametrize(
    ("text", "built_on_others"),
    [
        ("_base_ = ['../_base_/models/x.py']\nmodel = dict()", True),
        ("_base_ = './x.py'", True),
        ("_base_ = ['mmdet::_base_/default_runtime.py']", False),
        ("_base_ = []\nmodel = dict()", False),
    ],
)
def test_a_config_in_s3_has_to_be_whole(
    text: str, built_on_others: bool, reached: ExportCommand, run: WorkDir, bucket: str
) -> None:
    fileio.put(text.encode(), f"{bucket}/own.py")
    reached.checkpoint, reached.config = str(run.root / "epoch_2.pth"), f"{bucket}/own.py"
    if built_on_others:
        with pytest.raises(ConfigError, match=r"built on other files \(_base_\).* Type the config.py of a run"):
            find_source(reached)
    else:
        assert find_source(reached).config.read_text() == text
