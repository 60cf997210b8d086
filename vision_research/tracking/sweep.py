"""The parent run of a sweep, which groups the runs of its jobs. Jobs find it by a file in the folder of the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vision_research.tracking.delivery import Delivery
from vision_research.tracking.run import TrackingSettings, open_run
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import RunStatus, now_ms, write_status
from vision_research.tracking.sync import PARENT_RUN_JSON, deliver_run
from vision_research.work_dir import WorkDir


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
