"""Which folder a run lives in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from vision_research.config.compose import Composition, flags_first, replay_overrides
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.launch import run_folder
from vision_research.launch.run_folder import choose_work_dir, owned
from vision_research.processes.command import start_command
from vision_research.processes.descendants import PLACE
from vision_research.work_dir import WorkDir

Compose = Callable[..., Composition[TrainConfig]]


@pytest.fixture
def composed(typed: Callable[..., TrainConfig], tmp_path: Path) -> Compose:
    def compose(*overrides: str, sweep_dir: Path | None = None) -> Composition[TrainConfig]:
        config = typed(f"storage.runs={tmp_path}/runs", *overrides)
        choices = {"model": "zoo/rtmdet/rtmdet_m", "data": "digits"}
        return Composition(config, "", overrides, choices, sweep_dir, "3")

    return compose


def make_run(folder: Path, *overrides: str) -> WorkDir:
    folder.mkdir(parents=True)
    run = WorkDir(folder)
    run.config_py.write_text("")
    run.overrides.write_text("".join(f"{word}\n" for word in overrides))
    return run


def test_a_run_without_a_typed_folder_gets_a_new_one(composed: Compose, tmp_path: Path) -> None:
    first = choose_work_dir(composed())
    assert first.root.parent == tmp_path / "runs"
    assert first.root.name.endswith("-rtmdet_m-digits")
    assert first.root.is_dir(), "the name is taken at once"
    assert choose_work_dir(composed()).root != first.root


def test_a_job_of_a_sweep_lives_in_the_sweep(composed: Compose, tmp_path: Path) -> None:
    assert choose_work_dir(composed(sweep_dir=tmp_path / "sweep")).root == tmp_path / "sweep" / "3"


@pytest.mark.slow
def test_resume_takes_the_last_run_of_the_same_command(composed: Compose, tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a", "seed=1", "data.batch_size=4")
    make_run(tmp_path / "runs/b", "seed=2")
    found = choose_work_dir(composed("data.batch_size=4", "seed=1", "resume=true"))
    assert found.root == tmp_path / "runs/a"
    with pytest.raises(ConfigError, match=r"no run of the same command is in .* \(2 other runs are\)"):
        choose_work_dir(composed("seed=3", "resume=true"))


def test_a_folder_without_a_run_cannot_be_resumed(composed: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run in it"):
        choose_work_dir(composed(f"resume={tmp_path}"))


def test_a_folder_of_another_run_is_refused(composed: Compose, tmp_path: Path) -> None:
    make_run(tmp_path / "x")
    with pytest.raises(ConfigError, match="belongs to another run. Type resume=true"):
        choose_work_dir(composed(f"work_dir={tmp_path}/x"))


def test_two_commands_do_not_share_a_folder(tmp_path: Path) -> None:
    run = WorkDir(tmp_path / "x")
    with owned(run), pytest.raises(ConfigError, match="a command is running in it"), owned(run):
        pass
    with owned(run):
        pass


def test_every_command_in_a_folder_has_a_number_and_finds_it_clean(tmp_path: Path) -> None:
    run = make_run(tmp_path / "x")
    unfinished, own = run.root / ".epoch_3.pth.0a_b1c2d", run.root / ".gitignore"
    unfinished.touch()
    own.touch()
    with owned(run) as first:
        assert not unfinished.exists() and own.exists()
    with owned(run) as second:
        assert run.owner == second
    assert (first, second) == (1, 2)


def test_a_folder_in_which_nothing_was_written_is_removed(tmp_path: Path) -> None:
    run = WorkDir(tmp_path / "x")
    with pytest.raises(ConfigError, match="refused"), owned(run):
        raise ConfigError("refused")
    assert not run.root.exists()


def test_what_an_earlier_command_left_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "x")
    monkeypatch.setattr(run_folder, "_EARLIER_RANKS_S", 0.1)
    left = start_command((sys.executable, "-c", "import time; time.sleep(60)"), {PLACE: str(run.root)})
    with owned(run):
        assert not psutil.pid_exists(left.pid)


def test_a_resumed_folder_brings_its_own_words(tmp_path: Path) -> None:
    make_run(tmp_path / "x", "model=retinanet", "schedule.max_epochs=3", "work_dir=x")
    argv = replay_overrides([f"resume={tmp_path}/x", "schedule.max_epochs=9"])
    assert argv == ["model=retinanet", f"resume={tmp_path}/x", "schedule.max_epochs=9"]
    assert replay_overrides(["resume=true"]) == ["resume=true"]


def test_the_sweep_flag_may_stand_anywhere() -> None:
    assert flags_first(["model=a,b", "-m", "seed=1"]) == ["-m", "model=a,b", "seed=1"]
