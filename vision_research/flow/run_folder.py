"""Which folder a run lives in, and that no two commands live in one."""

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

# What may differ between a run and its resumption without making it another run.
NOT_IDENTITY = ("resume", "work_dir")


def choose_work_dir(composition: Composition[TrainConfig], node_rank: int = 0) -> WorkDir:
    """Decide the folder of a run, without making it.

    Args:
        composition: the run.
        node_rank: number of this machine; all but the first go into the folder that the first one makes.

    Raises:
        ConfigError: the folder belongs to another run, or there is nothing to resume.
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
        # A command that could not open its record leaves its lock, and nothing else.
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
    """Return the folder of this machine that an address in S3 holds the copy of."""
    return Path(runs).absolute() / address.rstrip("/").rpartition("/")[2]


@contextmanager
def owned(work_dir: WorkDir) -> Iterator[None]:
    """Hold the folder for one command; another one that wants it is refused.

    Raises:
        ConfigError: a command is running in the folder.
    """
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
    """Return what makes two commands the same, whatever the order of their words."""
    return frozenset(line for line in overrides if line and key_of(line) not in NOT_IDENTITY)


def _new(composition: Composition[TrainConfig]) -> WorkDir:
    choices = composition.choices
    model = choices["model"].rpartition("/")[2]
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{model}-{choices['data']}"
    runs = Path(composition.config.storage.runs).absolute()
    names = itertools.chain([stem], (f"{stem}-{count}" for count in itertools.count(2)))
    return WorkDir(next(runs / name for name in names if not (runs / name).exists()))
