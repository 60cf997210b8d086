"""Delivers a spool to MLflow in one pass, in the calling thread.

The order is: records as they were written, then artifacts, then the status. If the store stops answering, the rest
stays in the spool. A record that the store refuses for good is counted and skipped, so that it does not block others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vision_research.tracking.client import MAX_METRICS_PER_BATCH, Store
from vision_research.tracking.connection import StoreError, StoreRefused
from vision_research.tracking.records import (
    FINAL_STATUSES,
    Artifact,
    DatasetRecord,
    Dropped,
    Metrics,
    Params,
    Record,
    Tags,
)
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import read_status
from vision_research.tracking.spool_reader import Position, SpoolReader, Unreadable, delivery_lock

logger = logging.getLogger(__name__)

DROPPED_TAG = "spool.dropped_training_records"
REFUSED_TAG = "spool.refused_records"
MISSING_TAG = "spool.missing_artifacts"


@dataclass(frozen=True)
class Delivery:
    """The result of a pass.

    Attributes:
        delivered: number of records, artifacts and statuses that the store accepted.
        pending: number of those that are still in the spool.
        problem: why they are; None if nothing is pending.
    """

    delivered: int
    pending: int
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the store has everything."""
        return self.pending == 0


def deliver(
    run: RunRecord,
    folder: Path,
    store: Store,
    record_limit: int | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> Delivery:
    """Make one pass over a spool. Errors of the store are returned, not raised.

    Args:
        run: the run to deliver to.
        folder: its spool.
        store: the store that holds the run.
        record_limit: most records of this pass, so that a long backlog can be delivered in portions; None is all.
        on_progress: called whenever the store accepted something.
    """
    with delivery_lock(folder) as mine:
        reader = SpoolReader(folder)
        if not mine:
            return Delivery(0, reader.num_pending(), "another command is delivering it")
        delivery_pass = _DeliveryPass(run, reader, store, record_limit, on_progress)
        problem = None
        try:
            delivery_pass.run()
        except StoreError as error:
            problem = str(error)
        return Delivery(delivery_pass.delivered, reader.num_pending(), problem)


@dataclass
class _DeliveryPass:
    _run: RunRecord
    _reader: SpoolReader
    _store: Store
    _limit: int | None
    _on_progress: Callable[[], None]
    _batch: list[Metrics] = field(default_factory=list)
    delivered: int = 0

    @property
    def _run_id(self) -> str:
        return self._run.run_id

    def run(self) -> None:
        if self._deliver_records():
            self._deliver_artifacts()
            self._deliver_status()

    def _deliver_records(self) -> bool:
        """Deliver records in order; return False if the limit of the pass was reached."""
        position: Position | None = None
        for record, next_position in self._reader.records():
            if self._flush_before(record, next_position, position):
                self._flush(position)
            if isinstance(record, Metrics):
                self._batch.append(record)
            else:
                self._deliver_record(record)
                self._commit(0 if next_position.is_end else 1, next_position)
            position = next_position
            if self._limit is not None and self.delivered + len(self._batch) >= self._limit:
                self._flush(position)
                return False
        self._flush(position)
        return True

    def _flush_before(self, record: Record | Unreadable, here: Position, before: Position | None) -> bool:
        """Tell whether the gathered metrics must be sent first: another kind of record, or segment, or a full batch."""
        if not isinstance(record, Metrics) or (before is not None and here.segment != before.segment):
            return True
        return sum(len(item.values) for item in self._batch) + len(record.values) > MAX_METRICS_PER_BATCH

    def _flush(self, position: Position | None) -> None:
        if not self._batch:
            return
        self._deliver_metrics(self._batch)
        self._commit(len(self._batch), position)
        self._batch = []

    def _deliver_metrics(self, batch: Sequence[Metrics]) -> None:
        try:
            self._store.log_metrics(self._run_id, batch)
        except StoreRefused as error:
            self._store.require_run(self._run_id)
            if len(batch) == 1:
                self._refuse(str(error))
                return
            for item in batch:
                self._deliver_metrics([item])

    def _deliver_record(self, record: Record | Unreadable) -> None:
        progress = self._reader.progress
        try:
            if isinstance(record, Tags):
                self._store.set_tags(self._run_id, record.values)
            elif isinstance(record, Params):
                self._deliver_params(record.values)
            elif isinstance(record, DatasetRecord):
                self._store.log_dataset(self._run_id, record)
            elif isinstance(record, Artifact):
                progress.artifacts = [item for item in progress.artifacts if item != record] + [record]
            elif isinstance(record, Dropped):
                progress.dropped += record.count
                self._store.set_tags(self._run_id, {DROPPED_TAG: str(progress.dropped)})
            elif isinstance(record, Unreadable):
                self._refuse(record.problem)
        except StoreRefused as error:
            self._store.require_run(self._run_id)
            self._refuse(str(error))

    def _deliver_params(self, values: Mapping[str, str]) -> None:
        """Log new params. MLflow refuses to change a param, so one that a resumed run changed becomes a tag."""
        stored = self._store.run(self._run_id).data.params
        new = {key: value for key, value in values.items() if key not in stored}
        changed = {
            key: value for key, value in values.items() if key in stored and not _is_same_value(stored[key], value)
        }
        if new:
            self._store.log_params(self._run_id, new)
        if changed:
            prefix = f"resume_{self._run.resumes}"
            notes = {f"{prefix}.{key}": f"{stored[key]} -> {value}" for key, value in changed.items()}
            self._store.set_tags(self._run_id, notes)

    def _deliver_artifacts(self) -> None:
        progress = self._reader.progress
        while progress.artifacts:
            artifact = progress.artifacts[0]
            path = Path(artifact.path)
            if path.is_file():
                self._upload(artifact, path)
            else:
                logger.warning("%s was gone before it could be copied into the run %s", path, self._run_id)
                missing = [*progress.missing, f"{artifact.artifact_path}/{path.name}".lstrip("/")]
                self._store.set_tags(self._run_id, {MISSING_TAG: ", ".join(missing)})
                progress.missing = missing
            progress.artifacts.pop(0)
            self._commit(1)

    def _upload(self, artifact: Artifact, path: Path) -> None:
        try:
            self._store.log_artifact(self._run_id, path, artifact.artifact_path)
        except StoreRefused as error:
            self._store.require_run(self._run_id)
            self._refuse(f"{path}: {error}")

    def _deliver_status(self) -> None:
        status = read_status(self._reader.folder)
        if status is None or not self._reader.status_pending():
            return
        self._store.set_status(self._run_id, status)
        self._reader.progress.status = status
        self._commit(1)
        if status.status in FINAL_STATUSES:
            self._reader.clear()

    def _commit(self, num_records: int, position: Position | None = None) -> None:
        self._reader.commit(position)
        self.delivered += num_records
        self._on_progress()

    def _refuse(self, problem: str) -> None:
        self._reader.progress.refused += 1
        logger.error("MLflow refused a record of the run %s for good: %s", self._run_id, problem)
        self._store.set_tags(self._run_id, {REFUSED_TAG: str(self._reader.progress.refused)})


def _is_same_value(stored: str, value: str) -> bool:
    # A stored value may have been cut to the length that MLflow stores.
    return stored == value or (stored.endswith("...") and value.startswith(stored[:-3]))
