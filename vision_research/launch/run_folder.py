"""Chooses the folder of a run, and locks it against other commands."""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.compose import Composition, key_of
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.work_dir import WorkDir

# Keys that may differ between a run and the command that resumes it.
NOT_IDENTITY = ("resume", "work_dir")


def choose_work_dir(composition: Composition[TrainConfig], node_rank: int = 0) -> WorkDir:
    """Choose the absolute folder of a run, without creating it.

    Args:
        composition: of the run.
        node_rank: number of this machine; machines other than the first use the folder that the first one creates.

    Raises:
        ConfigError: the folder belongs to another run, or there is no run to resume.
    """
    resume, typed = composition.config.resume, composition.config.work_dir
    if typed is not None and is_s3(typed):
        typed = str(folder_of_copy(typed, composition.config.storage.runs))
    if isinstance(resume, str):
        return _existing(Path(resume), f"resume={resume}")
    if resume:
        return _existing(Path(typed), f"work_dir={typed}") if typed else _last_of_same_command(composition)
    if typed is not None and node_rank > 0:
        return WorkDir(Path(typed).absolute())
    if typed is not None:
        work_dir = WorkDir(Path(typed).absolute())
        # A command that could not start its MLflow run leaves only a lock file.
        if work_dir.root.is_dir() and any(entry != work_dir.owner_lock for entry in work_dir.root.iterdir()):
            raise ConfigError(
                f"work_dir={typed} belongs to another run. Type resume=true to go on with it, or another work_dir"
            )
        if work_dir.root.exists() and not work_dir.root.is_dir():
            raise ConfigError(f"work_dir={typed} is a file. Type another work_dir")
        return work_dir
    if composition.sweep_dir is not None:
        return WorkDir(composition.sweep_dir / composition.job_name)
    return _new(composition)


def folder_of_copy(address: str, runs: str) -> Path:
    """Return the absolute local folder of a copy in S3.

    Args:
        address: of the copy, `s3://BUCKET/FOLDER`.
        runs: local folder of all runs.
    """
    return Path(runs).absolute() / address.rstrip("/").rpartition("/")[2]


@contextmanager
def owned(work_dir: WorkDir) -> Iterator[None]:
    """Lock the folder; `ConfigError` if another command has locked it."""
    work_dir.root.mkdir(parents=True, exist_ok=True)
    with work_dir.owner_lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{work_dir.root}: a command is running in it. Wait for its end, or stop it") from error
        yield


def _existing(path: Path, typed: str) -> WorkDir:
    work_dir = WorkDir(path.absolute())
    if not work_dir.config_py.is_file():
        raise ConfigError(
            f"{typed}: there is no run in it (no config.py). Type the work_dir of a run, or leave resume out"
        )
    return work_dir


def _last_of_same_command(composition: Composition[TrainConfig]) -> WorkDir:
    runs = Path(composition.config.storage.runs).absolute()
    wanted = identity(composition.overrides)
    candidates = [WorkDir(file.parent) for file in runs.glob("*/overrides.txt")]
    same = [run for run in candidates if identity(run.overrides.read_text().splitlines()) == wanted]
    same = [run for run in same if run.config_py.is_file()]
    if not same:
        raise ConfigError(
            f"resume=true: no run of the same command is in {runs} ({len(candidates)} other runs are). Type "
            "resume=WORK_DIR to go on with one of those, or leave resume out to start anew"
        )
    return max(same, key=lambda run: run.config_py.stat().st_mtime)


def identity(overrides: Iterator[str] | list[str] | tuple[str, ...]) -> frozenset[str]:
    """Return the overrides that identify a command, without their order."""
    return frozenset(line for line in overrides if line and key_of(line) not in NOT_IDENTITY)


def _new(composition: Composition[TrainConfig]) -> WorkDir:
    choices = composition.choices
    model = choices["model"].rpartition("/")[2]
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{model}-{choices['data']}"
    runs = Path(composition.config.storage.runs).absolute()
    names = itertools.chain([stem], (f"{stem}-{count}" for count in itertools.count(2)))
    return WorkDir(next(runs / name for name in names if not (runs / name).exists()))
