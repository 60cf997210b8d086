"""Opens the MLflow run that a command owns, or reopens it, and the parent run that groups the runs of a sweep.

Jobs of a sweep find its run by a file in the folder of the sweep.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.tracking.client import Store, store_of_run
from vision_research.tracking.connection import RunGone, StoreError, StoreRefused
from vision_research.tracking.delivery import Delivery
from vision_research.tracking.records import DatasetRecord
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import RunStatus, now_ms, write_status
from vision_research.tracking.sync import PARENT_RUN_JSON, deliver_run
from vision_research.tracking.tracked_run import TrackedRun
from vision_research.tracking.uri import remedy, unreachable
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class TrackingSettings:
    """Where and how runs are recorded.

    Attributes:
        uri: resolved address (`uri.resolve_uri`).
        experiment: MLflow experiment; made if absent.
        run_name: name of the run; None is the name of its folder.
        spool_limit_mb: size of the spool beyond which training metrics are dropped, in units of 10**6 bytes.
        request_timeout_s: time limit of one request to the store, in seconds.
        tags: tags that the person chose.
    """

    uri: str
    experiment: str
    run_name: str | None = None
    spool_limit_mb: float = 256
    request_timeout_s: float = 10.0
    tags: Mapping[str, str] = field(default_factory=dict)


def start_run(
    settings: TrackingSettings,
    work_dir: WorkDir,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    dataset: DatasetRecord | None = None,
    parent_run_id: str | None = None,
    resume: bool = False,
) -> TrackedRun:
    """Open a run, or reopen the run of the folder, and write `run.json`.

    Args:
        settings: where and how to record.
        work_dir: folder of the run; it exists.
        params: settings by which runs are compared (`params.flat_params`).
        tags: where the run comes from (`params.run_tags`).
        dataset: what it trains on.
        parent_run_id: run of the sweep that it belongs to.
        resume: reopen the run that `run.json` names. Without a `run.json`, a new run is opened.

    Raises:
        ConfigError: the folder is recorded in a run already, or the experiment was deleted.
        EnvironmentProblem: the store does not answer, or no longer has the run; the message says what to type.
    """
    own = {**tags, **settings.tags, **({PARENT_TAG: parent_run_id} if parent_run_id else {})}
    if work_dir.run_json.is_file():
        if not resume:
            raise ConfigError(
                f"work_dir={work_dir.root}: it is recorded in an MLflow run already. Type resume=true to go on with "
                "it, or another work_dir"
            )
        run = _reopen(settings, work_dir, own)
    else:
        run = open_run(settings, work_dir.run_json, work_dir.spool, settings.run_name or work_dir.root.name, own)
    run.log_start(params, dataset)
    return run


def open_run(
    settings: TrackingSettings, record_path: Path, spool: Path, run_name: str, tags: Mapping[str, str]
) -> TrackedRun:
    """Open a new run and write its `run.json`.

    Args:
        settings: where and how to record.
        record_path: `run.json`.
        spool: folder for its records.
        run_name: its name.
        tags: its initial tags.

    Raises:
        ConfigError: the experiment was deleted.
        EnvironmentProblem: the store does not answer; the message says what to type.
    """
    try:
        store = connect(Store, settings.uri, settings.request_timeout_s)
        experiment_id = store.experiment(settings.experiment)
        run_id = store.create_run(experiment_id, run_name, tags)
    except StoreRefused as error:
        raise ConfigError(f"tracking.experiment={settings.experiment}: {error}") from error
    except StoreError as error:
        raise _does_not_answer(settings.uri, error) from error
    record = RunRecord(
        run_id=run_id,
        uri=settings.uri,
        experiment_id=experiment_id,
        experiment=settings.experiment,
        run_name=run_name,
        timeout_s=settings.request_timeout_s,
        resumes=0,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    record.write(record_path)
    return TrackedRun(record, spool, store, settings.spool_limit_mb)


def open_parent(settings: TrackingSettings, sweep_dir: Path, params: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Open the parent run, write `parent_run.json`, and return the MLflow run id.

    Args:
        settings: where and how to record; without a `run_name` it is named after the folder.
        sweep_dir: folder of the sweep; made if absent.
        params: settings that all jobs share.
        tags: where it comes from (`params.run_tags`).

    Raises:
        ConfigError: the experiment was deleted.
        EnvironmentProblem: the store does not answer; the message says what to type.
    """
    sweep_dir.mkdir(parents=True, exist_ok=True)
    name = settings.run_name or f"sweep {sweep_dir.parent.name} {sweep_dir.name}"
    own = {**tags, **settings.tags, "sweep": "parent"}
    run = open_run(settings, sweep_dir / PARENT_RUN_JSON, WorkDir(sweep_dir).spool, name, own)
    run.log_start(params, None)
    return run.run_id


def close_parent(sweep_dir: Path, status: str, cause: str | None = None) -> Delivery | None:
    """End the parent run. Errors of the store are not raised; `track sync` delivers later.

    Args:
        sweep_dir: folder of the sweep.
        status: `FINISHED`, `FAILED` or `KILLED`.
        cause: why the sweep did not finish.

    Returns:
        What was delivered; None for a sweep without a parent run.
    """
    if parent_of(sweep_dir) is None:
        return None
    spool = WorkDir(sweep_dir).spool
    write_status(spool, RunStatus(status, cause, now_ms()))
    return deliver_run(sweep_dir)


def parent_of(sweep_dir: Path) -> str | None:
    """Read the run id of a sweep's parent run; None for a sweep without one."""
    path = sweep_dir / PARENT_RUN_JSON
    return RunRecord.read(path).run_id if path.is_file() else None


def _reopen(settings: TrackingSettings, work_dir: WorkDir, tags: Mapping[str, str]) -> TrackedRun:
    before = RunRecord.read(work_dir.run_json)
    if before.uri != settings.uri:
        logger.warning("Going on in the run's own store %s, not in tracking.uri=%s", before.uri, settings.uri)
    record = replace(
        before,
        timeout_s=settings.request_timeout_s,
        resumes=before.resumes + 1,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    try:
        store = connect(store_of_run, record.uri, record.timeout_s)
        store.reopen(record.run_id)
        known = store.run(record.run_id).data.tags
    except RunGone as error:
        raise EnvironmentProblem(
            f"{work_dir.run_json}: the run {record.run_id} is not in {record.uri} any more. Restore it there, or "
            "delete run.json to record the rest in a new run"
        ) from error
    except StoreError as error:
        raise _does_not_answer(record.uri, error) from error
    record.write(work_dir.run_json)
    run = TrackedRun(record, work_dir.spool, store, settings.spool_limit_mb)
    changed = {f"resume_{record.resumes}.{key}": value for key, value in tags.items() if known.get(key) != value}
    run.set_tags({"resumes": str(record.resumes), **changed})
    return run


def connect(open_store: Callable[[str, float], Store], uri: str, timeout_s: float) -> Store:
    """Open a store after a check that something listens at its address.

    Args:
        open_store: opens it, such as `Store`.
        uri: resolved tracking address.
        timeout_s: time limit of one request, in seconds.

    Raises:
        EnvironmentProblem: nothing listens; the message says what to type.
    """
    problem = unreachable(uri, timeout_s)  # a complete message
    if problem:
        raise EnvironmentProblem(problem)
    return open_store(uri, timeout_s)


def _does_not_answer(uri: str, error: StoreError) -> EnvironmentProblem:
    return EnvironmentProblem(f"tracking.uri={uri}: MLflow does not take the run ({error}). {remedy(uri)}")
