"""Downloads a run from MLflow as a work_dir that every command accepts."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.tracking.client import CAUSE_TAG, Store, store_of_run
from vision_research.tracking.connection import RunGone, StoreError, StoreRefused, request_timeout, store_errors
from vision_research.tracking.records import FINAL_STATUSES
from vision_research.tracking.run import connect
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import RunStatus, write_status
from vision_research.tracking.spool_reader import SpoolReader
from vision_research.tracking.uri import remedy
from vision_research.work_dir import WorkDir, write_json

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
_DOWNLOAD_TIMEOUT_S = 60
# As flow/record.py writes the tag `checkpoint.best`.
_BEST = re.compile(r"(?P<name>.+), epoch (?P<epoch>\d+), iteration (?P<iteration>\d+)")


def download_run(run_id: str, uri: str, timeout_s: float, runs: Path) -> Path:
    """Download a run as a work_dir: its config, its best checkpoint, and the record with which results are added to it.

    A run that was trained into `runs`, or downloaded there before, is used unchanged.

    Args:
        run_id: MLflow's id of the run.
        uri: resolved tracking address.
        timeout_s: time limit of one request, in seconds.
        runs: folder in which the work_dir is made.

    Raises:
        ConfigError: there is no such run, it is still running, or it holds no config or checkpoint.
        EnvironmentProblem: the store does not answer.
    """
    if here := _existing_work_dir(run_id, runs):
        return here
    typed = f"run=runs:/{run_id}"
    try:
        store = connect(store_of_run, uri, timeout_s)
        store.require_run(run_id)
        run = store.run(run_id)
        if run.info.status not in FINAL_STATUSES:
            raise ConfigError(f"{typed} is {run.info.status}: its checkpoint is uploaded at its end. Wait for it")
        return _download(store, run, _choose_files(store, run_id, typed), runs)
    except (RunGone, StoreRefused) as error:
        raise ConfigError(f"{typed}: no such run is in {uri}. Type tracking.uri=URI for another store") from error
    except StoreError as error:
        raise EnvironmentProblem(f"tracking.uri={uri}: MLflow does not answer ({error}). {remedy(uri)}") from error


def _existing_work_dir(run_id: str, runs: Path) -> Path | None:
    for path in runs.glob("*/run.json"):
        try:
            if RunRecord.read(path).run_id == run_id and WorkDir(path.parent).config_py.is_file():
                logger.info("runs:/%s lies in %s", run_id, path.parent)
                return path.parent
        except ValueError:
            continue  # a file of another program with the same name
    return None


def _choose_files(store: Store, run_id: str, typed: str) -> list[str]:
    """Choose the files to download: those at the root of the run, and the best checkpoint or else the last."""
    names = _list_files(store, run_id)
    checkpoints = _list_files(store, run_id, CHECKPOINTS)
    best = [name for name in checkpoints if Path(name).name.startswith("best_")]
    if "config.py" not in names or not checkpoints:
        lacking = "config.py" if "config.py" not in names else "checkpoint (tracking.log_checkpoints was false?)"
        raise ConfigError(f"{typed} holds no {lacking}: it cannot be used from MLflow. Type run=WORK_DIR where it lies")
    return [*names, (best or checkpoints)[-1]]


def _list_files(store: Store, run_id: str, folder: str | None = None) -> list[str]:
    """List the files in a folder of a run, or in its root, by their paths relative to the root."""
    with store_errors():
        return [entry.path for entry in store.client.list_artifacts(run_id, folder) if not entry.is_dir]


def _download(store: Store, run: Any, files: list[str], runs: Path) -> Path:
    """Download into a temporary folder and rename it, so that a partial download is never used as a run."""
    runs.mkdir(parents=True, exist_ok=True)
    run_id: str = run.info.run_id
    target = runs / run_id
    logger.info("downloading runs:/%s to %s", run_id, target)
    temporary = Path(tempfile.mkdtemp(dir=runs, prefix=f".{run_id}."))
    try:
        for name in files:
            with request_timeout(max(store.timeout_s, _DOWNLOAD_TIMEOUT_S)), store_errors():
                path = Path(store.client.download_artifacts(run_id, name, str(temporary)))
            if path.parent != temporary:
                path.rename(temporary / path.name)
        _write_record(WorkDir(temporary), store, run)
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _write_record(work_dir: WorkDir, store: Store, run: Any) -> None:
    """Write the files that the run's own command leaves behind: the run has ended, and nothing is undelivered."""
    info, tags = run.info, run.data.tags
    with store_errors():
        experiment = store.client.get_experiment(info.experiment_id)
    RunRecord(
        run_id=info.run_id,
        uri=store.uri,
        experiment_id=str(info.experiment_id),
        experiment=str(experiment.name),
        run_name=info.run_name,
        timeout_s=10.0,
        resumes=0,
        host=socket.gethostname(),
        pid=os.getpid(),
    ).write(work_dir.run_json)
    status = RunStatus(info.status, tags.get(CAUSE_TAG), info.end_time or None)
    if best := _BEST.fullmatch(tags.get("checkpoint.best", "")):
        where = {"path": best["name"], "epoch": int(best["epoch"]), "iteration": int(best["iteration"])}
        write_json(work_dir.outcome, {"status": status.status, "cause": status.cause, "best": where})
    work_dir.owner_lock.touch()
    work_dir.spool.mkdir()
    write_status(work_dir.spool, status)
    reader = SpoolReader(work_dir.spool)
    reader.progress.status = status
    reader.commit()
