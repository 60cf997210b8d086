"""Chooses the folder of a run, and locks it against other commands."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from vision_research.config.addresses import is_s3
from vision_research.config.compose import Composition, key_of
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.launch.plan import place_of
from vision_research.processes.descendants import PLACE, end_processes, processes_with
from vision_research.work_dir import WorkDir, remove_temporaries

logger = logging.getLogger(__name__)

# torchrun, whose command was killed, gives its ranks 30 s to save and stop, and kills them then.
_EARLIER_RANKS_S = 40

# Folders of all runs that this process has made.
_made: set[Path] = set()

# Keys that may differ between a run and the command that resumes it.
NOT_IDENTITY = ("resume", "work_dir")


def choose_work_dir(composition: Composition[TrainConfig], node_rank: int = 0) -> WorkDir:
    """Choose the absolute folder of a run; one that this project names itself is created at once.

    Two commands that are typed in the same second get two folders in that way. `owned` removes a folder that stays
    empty.

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
def owned(work_dir: WorkDir) -> Iterator[int]:
    """Own a run's folder inside of the block: no other command, and no process of an earlier one, writes in it.

    Ranks of a command that was killed may still train. They are waited for, since they are told to save and stop, and
    killed if that takes too long; then unfinished files of theirs are removed. On another machine that cannot be done:
    there the ranks see by the number that they no longer own the folder (`engine/ownership.py`).

    A folder that has nothing but the lock at the end of the block is removed.

    Yields:
        The number of this command in the folder.

    Raises:
        ConfigError: another command is running in it.
    """
    if not work_dir.root.parent.exists():
        _made.add(work_dir.root.parent)
    work_dir.root.mkdir(parents=True, exist_ok=True)
    with _locked(work_dir) as handle:
        _end_earlier_ranks(work_dir)
        number = work_dir.owner + 1
        handle.truncate(0)
        handle.write(str(number))
        handle.flush()
        try:
            yield number
        finally:
            # Path.glob, unlike iterdir, finds nothing in a folder that was removed meanwhile.
            if list(work_dir.root.glob("*")) == [work_dir.owner_lock]:
                work_dir.owner_lock.unlink()
                work_dir.root.rmdir()
                _remove_made(work_dir.root.parent)


def _remove_made(folder: Path) -> None:
    """Remove the folder of all runs if this command made it, and nothing has come into it."""
    if folder in _made:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _locked(work_dir: WorkDir) -> Iterator[TextIO]:
    with work_dir.owner_lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another command may have removed the file and the folder since it was opened.
            is_there = work_dir.owner_lock.stat().st_ino == os.fstat(handle.fileno()).st_ino
        except OSError:
            is_there = False
        if not is_there:
            raise ConfigError(f"{work_dir.root}: a command is running in it. Wait for its end, or stop it")
        yield handle


def _end_earlier_ranks(work_dir: WorkDir) -> None:
    left = processes_with(PLACE, place_of(work_dir.root))
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        logger.warning(
            "%s: processes of an earlier command still run in it (%s): waiting for their end, at most %d s",
            work_dir.root,
            pids,
            _EARLIER_RANKS_S,
        )
        if killed := end_processes(left, _EARLIER_RANKS_S):
            logger.warning("%d of them were killed", killed)
    if removed := remove_temporaries(work_dir.root):
        logger.info("removed %d unfinished files of commands that were killed", removed)


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
    if not runs.exists():
        _made.add(runs)
    for name in itertools.chain([stem], (f"{stem}-{count}" for count in itertools.count(2))):
        try:
            (runs / name).mkdir(parents=True)
        except FileExistsError:
            continue
        return WorkDir(runs / name)
    raise AssertionError("names do not end")
