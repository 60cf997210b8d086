"""Which folder a run lives in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vision_research.config.compose import Composition, flags_first, replay_overrides
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.launch.run_folder import choose_work_dir, owned
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


def test_a_resumed_folder_brings_its_own_words(tmp_path: Path) -> None:
    make_run(tmp_path / "x", "model=retinanet", "schedule.max_epochs=3", "work_dir=x")
    argv = replay_overrides([f"resume={tmp_path}/x", "schedule.max_epochs=9"])
    assert argv == ["model=retinanet", f"resume={tmp_path}/x", "schedule.max_epochs=9"]
    assert replay_overrides(["resume=true"]) == ["resume=true"]


def test_the_sweep_flag_may_stand_anywhere() -> None:
    assert flags_first(["model=a,b", "-m", "seed=1"]) == ["-m", "model=a,b", "seed=1"]
