"""Reads a run back from a store: its description and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vision_research.tracking.client import CAUSE_TAG, Store
from vision_research.tracking.connection import request_timeout
from vision_research.tracking.store_errors import store_errors

_DOWNLOAD_TIMEOUT_S = 60


@dataclass(frozen=True)
class StoredRun:
    """A run as the store describes it.

    Attributes:
        run_id: its id.
        run_name: its name.
        experiment_id: id of its experiment.
        experiment: name of its experiment.
        status: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        cause: why it ended in this status.
        end_time_ms: when it ended, in milliseconds since the epoch.
        tags: all of its tags.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment: str
    status: str
    cause: str | None
    end_time_ms: int | None
    tags: Mapping[str, str]


def describe_run(store: Store, run_id: str) -> StoredRun:
    """Read name, experiment, status and tags of a run.

    Args:
        store: the store that holds it.
        run_id: id of the run.

    Returns:
        The description.

    Raises:
        RunGone: the run is absent or deleted.
    """
    store.require_run(run_id)
    with store_errors():
        run = store.client.get_run(run_id)
        experiment = store.client.get_experiment(run.info.experiment_id)
    info, tags = run.info, dict(run.data.tags)
    where = (info.run_name, str(info.experiment_id), str(experiment.name))
    return StoredRun(run_id, *where, info.status, tags.get(CAUSE_TAG), info.end_time or None, tags)


def list_files(store: Store, run_id: str, folder: str | None = None) -> list[str]:
    """List the artifacts in a folder of a run, without its subfolders.

    Args:
        store: the store that holds the run.
        run_id: id of the run.
        folder: inside the run; None is its root.

    Returns:
        Paths relative to the root of the run.
    """
    with store_errors():
        return [entry.path for entry in store.client.list_artifacts(run_id, folder) if not entry.is_dir]


def download_file(store: Store, run_id: str, artifact_path: str, folder: Path) -> Path:
    """Download an artifact of a run.

    Args:
        store: the store that holds the run.
        run_id: id of the run.
        artifact_path: path of the artifact inside the run.
        folder: target; the artifact keeps its path below it.

    Returns:
        The path of the downloaded file.
    """
    with request_timeout(max(store.timeout_s, _DOWNLOAD_TIMEOUT_S)), store_errors():
        return Path(store.client.download_artifacts(run_id, artifact_path, str(folder)))
