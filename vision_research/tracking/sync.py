"""Delivers the records of earlier commands, and sets the status of runs whose command was killed.

Owns how such runs are found: their command has ended, and MLflow does not have all of their records.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from vision_research.tracking.client import Store, store_of_run
from vision_research.tracking.connection import StoreError
from vision_research.tracking.delivery import Delivery, deliver
from vision_research.tracking.records import FINAL_STATUSES
from vision_research.tracking.results import leftovers
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import RunStatus, SpoolWriter, read_status, write_status
from vision_research.tracking.spool_reader import SpoolReader
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)

PARENT_RUN_JSON = "parent_run.json"
# A run of another machine counts as ended if it has written nothing for so long and nobody holds its lock.
_SILENCE_S = 3600


def record_path(folder: Path) -> Path | None:
    """Return the file that names the MLflow run of a folder; None if the folder is not a run."""
    for path in (WorkDir(folder).run_json, folder / PARENT_RUN_JSON):
        if path.is_file():
            return path
    return None


def find_runs(root: Path) -> list[Path]:
    """Find the folders of all runs and sweeps below a root, oldest first; other files of that name are skipped."""
    files = [*root.rglob(WorkDir(root).run_json.name), *root.rglob(PARENT_RUN_JSON)]
    files = [path for path in files if _is_run_record(path)]
    return sorted({path.parent for path in files}, key=lambda folder: (folder.stat().st_mtime, str(folder)))


def find_undelivered(root: Path) -> list[Path]:
    """Find the runs below a root whose command has ended and whose records MLflow does not have completely."""
    return [folder for folder in find_runs(root) if not is_running(folder) and needs_delivery(folder)]


def needs_delivery(folder: Path) -> bool:
    """Tell whether MLflow lacks records of a run, or its final status. Reads files only."""
    status = read_status(WorkDir(folder).spool)
    unfinished = status is None or status.status not in FINAL_STATUSES
    return unfinished or SpoolReader(WorkDir(folder).spool).num_pending() > 0


def is_running(folder: Path) -> bool:
    """Tell whether the command that owns a run is alive, as far as this machine can know."""
    work_dir = WorkDir(folder)
    if _is_locked(work_dir.owner_lock):
        return True
    path = record_path(folder)
    if path is None:
        return False
    run = RunRecord.read(path)
    if run.host != socket.gethostname():
        return time.time() - _last_sign_of_life(folder) < _SILENCE_S
    # A command with a lock file that it does not hold has ended, even if another process has its process id now.
    return not work_dir.owner_lock.exists() and _is_alive(run.pid)


def mark_if_killed(folder: Path) -> None:
    """Record what a run has left whose command was killed: its logs, checkpoints and model, and its final status."""
    work_dir = WorkDir(folder)
    status = read_status(work_dir.spool)
    if is_running(folder) or (status is not None and status.status in FINAL_STATUSES):
        return
    ended_ms = round(_last_sign_of_life(folder) * 1000)
    left, writer = leftovers(folder), SpoolWriter(work_dir.spool)
    for artifact_path, paths in left.files.items():
        for path in paths:
            writer.artifact(path, artifact_path)
    writer.close()
    write_status(work_dir.spool, RunStatus(left.status, left.cause, ended_ms))


def deliver_run(folder: Path, store: Store | None = None, record_limit: int | None = None) -> Delivery:
    """Deliver the undelivered records of a run. A run whose command was killed gets its final status.

    Args:
        folder: its work_dir, or the folder of a sweep.
        store: the store that holds it; None connects to it.
        record_limit: most records to deliver; None is all.

    Raises:
        ValueError: the folder is not a run.
    """
    run = _record_of(folder)
    mark_if_killed(folder)
    spool = WorkDir(folder).spool
    if not spool.is_dir() or not (pending := SpoolReader(spool).num_pending()):
        return Delivery(0, 0)
    try:
        return deliver(run, spool, store or store_of_run(run.uri, run.timeout_s), record_limit)
    except StoreError as error:
        return Delivery(0, pending, str(error))


def deliver_runs(folders: Iterable[Path]) -> Iterator[tuple[Path, Delivery]]:
    """Deliver many runs. A store that does not answer is tried once, not once per run."""
    stores: dict[str, Store] = {}
    problems: dict[str, str] = {}
    for folder in folders:
        run = _record_of(folder)
        if run.uri not in stores and run.uri not in problems and needs_delivery(folder):
            try:
                stores[run.uri] = store_of_run(run.uri, run.timeout_s)
            except StoreError as error:
                problems[run.uri] = str(error)
        if run.uri in problems:
            mark_if_killed(folder)
            yield folder, Delivery(0, SpoolReader(WorkDir(folder).spool).num_pending(), problems[run.uri])
        else:
            yield folder, deliver_run(folder, stores.get(run.uri))


def _record_of(folder: Path) -> RunRecord:
    path = record_path(folder)
    if path is None:
        raise ValueError(f"{folder} holds no run.json: it is no work_dir of a tracked run")
    return RunRecord.read(path)


def _is_run_record(path: Path) -> bool:
    try:
        RunRecord.read(path)
    except ValueError as error:
        logger.warning("%s is skipped: %s", path.parent, error)
        return False
    return True


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        # A shared lock, held for an instant, so that two processes that check do not block each other.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # a process of another user
    return True


def _last_sign_of_life(folder: Path) -> float:
    files = (*WorkDir(folder).spool.glob("*"), WorkDir(folder).log, record_path(folder))
    times = [file.stat().st_mtime for file in files if file is not None and file.is_file()]
    return max(times, default=folder.stat().st_mtime)
