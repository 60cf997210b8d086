"""What the project asks of an MLflow tracking store: experiments, runs, and what is logged to a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_research.tracking.connection import (
    RunGone,
    StoreRefused,
    StoreUnavailable,
    first_creation_lock,
    new_client,
    prepare_environment,
    request_timeout,
    store_errors,
)
from vision_research.tracking.records import DatasetRecord, Metrics
from vision_research.tracking.spool import RunStatus
from vision_research.tracking.uri import artifact_location, sqlite_path, unreachable

CAUSE_TAG = "status_cause"
# mlflow/utils/validation.py has the same name; a test compares the two.
MAX_METRICS_PER_BATCH = 1000
# The server answers an upload when its artifact store has the file; 5 MB/s is a slow artifact store.
_UPLOAD_BYTES_PER_S = 5e6
_UPLOAD_TIMEOUT_S = 60


class Store:
    """One MLflow tracking store.

    Every method raises a `StoreError`, and waits at most a few times the timeout: MLflow's own retries (246 s by
    default for one call to a dead server) are switched off, because the delivery of the spool retries better.

    Attributes:
        uri: address of the store.
        timeout_s: time limit of one request, in seconds.
        client: the `MlflowClient`.
    """

    def __init__(self, uri: str, timeout_s: float) -> None:
        """Connect. An absent SQLite file is created under a lock, which takes 3 to 6 s.

        Args:
            uri: as `uri.resolve_uri` returned it.
            timeout_s: time limit of one request, in seconds.

        Raises:
            StoreUnavailable: nothing listens there, or the database cannot be opened.
        """
        problem = unreachable(uri, timeout_s)
        if problem:
            raise StoreUnavailable(problem)
        self.uri = uri
        self.timeout_s = timeout_s
        prepare_environment(timeout_s)
        with first_creation_lock(uri), store_errors():
            self.client: Any = new_client(uri)

    def ping(self) -> None:
        """Request one experiment, to check address, credentials and version."""
        with store_errors():
            self.client.search_experiments(max_results=1)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made if absent; `StoreRefused` if it was deleted, or its name is refused."""
        with first_creation_lock(self.uri), store_errors():
            found = self.client.get_experiment_by_name(name) or self._create_experiment(name)
        if found.lifecycle_stage != "active":
            raise StoreRefused(
                f"the experiment {name!r} was deleted in MLflow. Restore it (mlflow experiments restore "
                f"--experiment-id {found.experiment_id}), or choose another: tracking.experiment=NAME"
            )
        return str(found.experiment_id)

    def create_run(self, experiment_id: str, run_name: str, tags: Mapping[str, str]) -> str:
        """Create a run, and return its id.

        Args:
            experiment_id: id of its experiment.
            run_name: its name.
            tags: its tags; long values are cut.
        """
        with store_errors():
            return str(self.client.create_run(experiment_id, tags=dict(_cut_tags(tags)), run_name=run_name).info.run_id)

    def reopen(self, run_id: str) -> None:
        """Set an ended run back to RUNNING."""
        self.require_run(run_id)
        with store_errors():
            self.client.update_run(run_id, status="RUNNING")
            if CAUSE_TAG in self.run(run_id).data.tags:
                self.client.delete_tag(run_id, CAUSE_TAG)

    def require_run(self, run_id: str) -> None:
        """Raise `RunGone` if the run is absent or deleted."""
        if self.run(run_id).info.lifecycle_stage != "active":
            raise RunGone(f"the run {run_id} was deleted from {self.uri}")

    def log_metrics(self, run_id: str, records: Sequence[Metrics]) -> None:
        """Log metrics. The store ignores a value that it already has.

        Args:
            run_id: id of the run.
            records: what to log; infinities become the largest float, which databases can store.
        """
        from mlflow.entities import Metric

        metrics = [
            Metric(key, _finite(value), record.timestamp_ms, record.step)
            for record in records
            for key, value in record.values.items()
        ]
        with store_errors():
            self.client.log_batch(run_id, metrics=metrics)  # in requests of MAX_METRICS_PER_BATCH

    def run(self, run_id: str) -> Any:
        """Read a run: its `info` and `data`, as MLflow names them."""
        with store_errors():
            return self.client.get_run(run_id)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log params that the run does not have yet.

        Args:
            run_id: id of the run.
            params: by name; long values are cut.
        """
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        with store_errors():
            self.client.log_batch(run_id, params=[Param(*item) for item in _cut(params, MAX_PARAM_VAL_LENGTH)])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run.

        Args:
            run_id: id of the run.
            tags: by name; long values are cut.
        """
        from mlflow.entities import RunTag

        with store_errors():
            self.client.log_batch(run_id, tags=[RunTag(*item) for item in _cut_tags(tags)])

    def log_dataset(self, run_id: str, dataset: DatasetRecord) -> None:
        """Log the data set as an input of the run.

        Args:
            run_id: id of the run.
            dataset: what the run trains on.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = {"num_train": dataset.num_train, "num_val": dataset.num_val, "classes": list(dataset.classes)}
        source = json.dumps({"uri": dataset.source})
        entity = Dataset(dataset.name, dataset.digest[:36], "local", source, profile=json.dumps(profile))
        trained_on = DatasetInput(entity, [InputTag("mlflow.data.context", "training")])
        with store_errors():
            self.client.log_inputs(run_id, datasets=[trained_on])

    def log_artifact(self, run_id: str, path: Path, artifact_path: str) -> None:
        """Upload a file, with a timeout that grows with its size.

        Args:
            run_id: id of the run.
            path: the file.
            artifact_path: target folder inside the run; empty is its root.
        """
        timeout_s = max(self.timeout_s, _UPLOAD_TIMEOUT_S) + path.stat().st_size / _UPLOAD_BYTES_PER_S
        with request_timeout(timeout_s), store_errors():
            self.client.log_artifact(run_id, str(path), artifact_path or None)

    def set_status(self, run_id: str, status: RunStatus) -> None:
        """Set the status of a run, and its cause as a tag.

        Args:
            run_id: id of the run.
            status: the status to show.
        """
        with store_errors():
            if status.cause:
                self.set_tags(run_id, {CAUSE_TAG: status.cause})
            if status.status == "RUNNING":
                self.client.update_run(run_id, status="RUNNING")
            else:
                self.client.set_terminated(run_id, status.status, status.end_time_ms)

    def _create_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_experiment(name, artifact_location(self.uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another command created it meanwhile
                raise
        return self.client.get_experiment_by_name(name)


def store_of_run(uri: str, timeout_s: float) -> Store:
    """Connect to a store that already holds a run.

    Args:
        uri: as `uri.resolve_uri` returned it.
        timeout_s: time limit of one request, in seconds.

    Raises:
        StoreUnavailable: it does not answer, or its SQLite file is gone: an empty one must not be created instead.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise StoreUnavailable(f"{path} is gone. Put it back where it was")
    return Store(uri, timeout_s)


def _finite(value: float) -> float:
    is_nan = value != value
    return value if is_nan else min(max(value, -sys.float_info.max), sys.float_info.max)


def _cut_tags(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    return _cut(tags, MAX_TAG_VAL_LENGTH)


def _cut(values: Mapping[str, str], length: int) -> list[tuple[str, str]]:
    """Cut values to the length that MLflow stores; a cut value ends in `...`."""
    return [(key, value if len(value) <= length else f"{value[: length - 3]}...") for key, value in values.items()]
