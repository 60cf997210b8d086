"""What the project asks of MLflow: a store that takes runs.

Uses `MlflowClient` alone. The fluent API (`mlflow.start_run`) registers an exit handler that would mark a crashed run
FINISHED, and its async logging drops what a hung server does not answer.

One class, for there is one client and one translation of its errors; each method is one request or two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.tracking.connection import first_creation_lock, new_client, prepare_environment, request_timeout
from vision_research.tracking.records import DatasetRecord, Metrics
from vision_research.tracking.spool import RunStatus
from vision_research.tracking.store_errors import RunGone, StoreRefused, StoreUnavailable, store_errors
from vision_research.tracking.uri import artifact_location, sqlite_path, unreachable

CAUSE_TAG = "status_cause"
# mlflow/utils/validation.py: the same name; a test compares the two.
MAX_METRICS_PER_BATCH = 1000
_MAX_FLOAT = 1.7976931348623157e308
# A proxied upload is answered when the artifact store behind the server has it: 5 MB/s is a slow one.
_UPLOAD_BYTES_PER_S = 5e6
_UPLOAD_TIMEOUT_S = 60


@dataclass(frozen=True)
class StoredRun:
    """A run as the store describes it.

    Attributes:
        run_id: its id.
        run_name: its name.
        experiment_id: id of its experiment.
        experiment: name of its experiment.
        status: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        cause: why it ended so.
        end_time_ms: when, since the epoch.
        tags: all notes on it.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment: str
    status: str
    cause: str | None
    end_time_ms: int | None
    tags: Mapping[str, str]


class Store:
    """One MLflow tracking store.

    Every method raises a `StoreError` and never waits longer than a few times the timeout: MLflow's own retries
    (246 s by default for one call to a dead server) are switched off, because the spool retries better.
    """

    def __init__(self, uri: str, timeout_s: float) -> None:
        """Connect. For a SQLite file that is absent this makes it, under a lock, which takes 3 to 6 s.

        Args:
            uri: as `uri.resolve_uri` returned it.
            timeout_s: how long one request may take, in seconds.

        Raises:
            StoreUnavailable: nothing listens there, or the database cannot be opened.
        """
        problem = unreachable(uri, timeout_s)
        if problem:
            raise StoreUnavailable(problem)
        self.uri = uri
        self._timeout_s = timeout_s
        prepare_environment(timeout_s)
        with first_creation_lock(uri), store_errors():
            self._client = new_client(uri)

    def ping(self) -> None:
        """Ask for one experiment, as a check of address, credentials and version."""
        with store_errors():
            self._client.search_experiments(max_results=1)

    def experiment(self, name: str) -> str:
        """Find or make an experiment.

        Returns:
            Its id.

        Raises:
            StoreRefused: an experiment of this name was deleted, or the name is not allowed.
        """
        with first_creation_lock(self.uri), store_errors():
            found = self._client.get_experiment_by_name(name) or self._create_experiment(name)
        if found.lifecycle_stage != "active":
            raise StoreRefused(
                f"the experiment {name!r} was deleted in MLflow. Restore it (mlflow experiments restore "
                f"--experiment-id {found.experiment_id}), or choose another: tracking.experiment=NAME"
            )
        return str(found.experiment_id)

    def create_run(self, experiment_id: str, run_name: str, tags: Mapping[str, str]) -> str:
        """Start a run; returns its id."""
        with store_errors():
            return str(self._client.create_run(experiment_id, tags=_cut(tags), run_name=run_name).info.run_id)

    def reopen(self, run_id: str) -> None:
        """Set an ended run back to RUNNING."""
        self.require_run(run_id)
        with store_errors():
            self._client.update_run(run_id, status="RUNNING")
            if CAUSE_TAG in self._client.get_run(run_id).data.tags:
                self._client.delete_tag(run_id, CAUSE_TAG)

    def require_run(self, run_id: str) -> None:
        """Raise `RunGone` unless the run is there and not deleted."""
        with store_errors():
            stage = self._client.get_run(run_id).info.lifecycle_stage
        if stage != "active":
            raise RunGone(f"the run {run_id} was deleted from {self.uri}")

    def describe_run(self, run_id: str) -> StoredRun:
        """Read what a run is; raises `RunGone` where it is absent or deleted."""
        self.require_run(run_id)
        with store_errors():
            run = self._client.get_run(run_id)
            experiment = self._client.get_experiment(run.info.experiment_id)
        info, tags = run.info, dict(run.data.tags)
        where = (info.run_name, str(info.experiment_id), str(experiment.name))
        return StoredRun(run_id, *where, info.status, tags.get(CAUSE_TAG), info.end_time or None, tags)

    def list_files(self, run_id: str, folder: str | None = None) -> list[str]:
        """List the artifacts in a folder of a run, without the folders in it, as paths inside of the run."""
        with store_errors():
            return [entry.path for entry in self._client.list_artifacts(run_id, folder) if not entry.is_dir]

    def download(self, run_id: str, artifact_path: str, folder: Path) -> Path:
        """Copy an artifact of a run to a folder, below which it keeps its path."""
        with request_timeout(max(self._timeout_s, _UPLOAD_TIMEOUT_S)), store_errors():
            return Path(self._client.download_artifacts(run_id, artifact_path, str(folder)))

    def log_metrics(self, run_id: str, records: Sequence[Metrics]) -> None:
        """Log metric records; values that the store already holds are not doubled."""
        from mlflow.entities import Metric

        metrics = [
            Metric(
                key, min(max(value, -_MAX_FLOAT), _MAX_FLOAT) if value == value else value, item.timestamp_ms, item.step
            )
            for item in records
            for key, value in item.values.items()
        ]
        with store_errors():
            self._client.log_batch(run_id, metrics=metrics)  # in requests of MAX_METRICS_PER_BATCH

    def params(self, run_id: str) -> dict[str, str]:
        """Read the params of a run."""
        with store_errors():
            return dict(self._client.get_run(run_id).data.params)

    def tags(self, run_id: str) -> dict[str, str]:
        """Read the tags of a run."""
        with store_errors():
            return dict(self._client.get_run(run_id).data.tags)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log params that the run does not have yet; long values are cut to what MLflow stores."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        with store_errors():
            self._client.log_batch(run_id, params=[Param(*item) for item in _cut(params, MAX_PARAM_VAL_LENGTH).items()])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; long values are cut to what MLflow stores."""
        from mlflow.entities import RunTag

        with store_errors():
            self._client.log_batch(run_id, tags=[RunTag(*item) for item in _cut(tags).items()])

    def log_dataset(self, run_id: str, dataset: DatasetRecord) -> None:
        """Log the data set as an input of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = {"num_train": dataset.num_train, "num_val": dataset.num_val, "classes": list(dataset.classes)}
        source = json.dumps({"uri": dataset.source})
        entity = Dataset(dataset.name, dataset.digest[:36], "local", source, profile=json.dumps(profile))
        with store_errors():
            context = [InputTag("mlflow.data.context", "training")]
            self._client.log_inputs(run_id, datasets=[DatasetInput(entity, context)])

    def log_artifact(self, run_id: str, path: Path, artifact_path: str) -> None:
        """Upload a file, with a timeout that grows with its size."""
        timeout_s = max(self._timeout_s, _UPLOAD_TIMEOUT_S) + path.stat().st_size / _UPLOAD_BYTES_PER_S
        with request_timeout(timeout_s), store_errors():
            self._client.log_artifact(run_id, str(path), artifact_path or None)

    def create_version(self, name: str, run_id: str, artifact_path: str, tags: Mapping[str, str]) -> str:
        """Register the MLflow model in a folder of a run; returns the number of the version."""
        from mlflow.exceptions import MlflowException

        with store_errors():
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{self._client.get_run(run_id).info.artifact_uri.rstrip('/')}/{artifact_path}"
            made = self._client.create_model_version(name, source, run_id, tags=dict(tags))
            return str(made.version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias of a registered model name a version."""
        with store_errors():
            self._client.set_registered_model_alias(name, alias, version)

    def version_tags(self, name: str, alias: str) -> dict[str, str] | None:
        """Read the tags of the version that an alias names; None where it names none."""
        with store_errors():
            version = self._client.get_registered_model(name).aliases.get(alias)
            return None if version is None else dict(self._client.get_model_version(name, version).tags)

    def set_status(self, run_id: str, status: RunStatus) -> None:
        """Tell how the run stands, with its cause as a tag."""
        with store_errors():
            if status.cause:
                self._client.set_tag(run_id, CAUSE_TAG, status.cause[: _max_tag_length()])
            if status.status == "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
            else:
                self._client.set_terminated(run_id, status.status, status.end_time_ms)

    def _create_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_experiment(name, artifact_location(self.uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another command was faster
                raise
        return self._client.get_experiment_by_name(name)


def store_of_run(uri: str, timeout_s: float) -> Store:
    """Connect to a store that holds a run already.

    Args:
        uri: as `uri.resolve_uri` returned it.
        timeout_s: how long one request may take, in seconds.

    Raises:
        StoreUnavailable: it does not answer; or a SQLite file that is gone, which must not be made anew.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise StoreUnavailable(f"{path} is gone. Put it back where it was")
    return Store(uri, timeout_s)


def _cut(values: Mapping[str, str], length: int | None = None) -> dict[str, str]:
    limit = length or _max_tag_length()
    return {key: value if len(value) <= limit else f"{value[: limit - 3]}..." for key, value in values.items()}


def _max_tag_length() -> int:
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    return int(MAX_TAG_VAL_LENGTH)
