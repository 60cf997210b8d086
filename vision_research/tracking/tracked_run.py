"""One MLflow run, as a command records it: the run that the command owns, or one that has ended and gets results.

All records go through the spool, so that a store that stops answering only delays them.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vision_research.tracking.client import Store
from vision_research.tracking.delivery import Delivery
from vision_research.tracking.delivery_thread import INTERVAL_S, DeliveryThread
from vision_research.tracking.names import metric_name
from vision_research.tracking.records import FINAL_STATUSES, DatasetRecord
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.spool import RunStatus, SpoolWriter, now_ms, write_status
from vision_research.tracking.sync import deliver_run
from vision_research.tracking.uri import how_to_open
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)

_PATIENCE_S = 20.0


class RunAddition:
    """Records results of a run in its spool; `adding_to` makes it and delivers them."""

    def __init__(self, spool: Path, limit_mb: float = 256) -> None:
        """Call `adding_to` instead."""
        self._spool = spool
        self._writer = SpoolWriter(spool, limit_mb)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record metrics that must not be dropped (a final mAP, export tolerances).

        Args:
            values: by name, with `/` between levels; characters that MLflow refuses are escaped.
            step: training iterations done.
        """
        self._writer.metrics({metric_name(name): float(value) for name, value in values.items()}, step, essential=True)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self._writer.tags({metric_name(key): str(value) for key, value in tags.items()})

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Record that a file is to be copied into the run. It must not be removed before it is delivered.

        Args:
            path: the file.
            artifact_path: folder inside the run; None is its root.
        """
        self._writer.artifact(path, artifact_path or "")

    def close(self) -> None:
        """End this command's segment of the spool."""
        self._writer.close()


class TrackedRun(RunAddition):
    """One open run. A record is on disk when the call returns, and in MLflow seconds later."""

    def __init__(self, record: RunRecord, spool: Path, store: Store, limit_mb: float) -> None:
        """Call `start_run` instead."""
        super().__init__(spool, limit_mb)
        self.record = record
        self._store = store
        self._thread: DeliveryThread | None = None

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self.record.run_id

    @property
    def how_to_open(self) -> str:
        """What to type, or which page to open, to see the run."""
        return how_to_open(self.record.uri, self.record.experiment_id, self.record.run_id)

    def start_delivery(self, earlier: Sequence[Path] = (), interval_s: float = INTERVAL_S) -> None:
        """Start a thread that delivers from now on.

        Args:
            earlier: folders of earlier runs (`sync.find_undelivered`), delivered while this run has nothing pending.
            interval_s: seconds between two passes.
        """
        assert self._thread is None, "delivery was started before"
        self._thread = DeliveryThread(self.record, self._spool, self._store, earlier, interval_s)
        self._thread.start()

    def finish(self, status: str, cause: str | None = None, patience_s: float = _PATIENCE_S) -> Delivery:
        """End the run and deliver the rest.

        Waits as long as the store accepts something, and at most `patience_s` while it does not. What is not delivered
        then stays in the spool, including the status.

        Args:
            status: `FINISHED`, `FAILED` or `KILLED`.
            cause: why the run did not finish; becomes the tag `status_cause`.
            patience_s: seconds without progress after which to give up.

        Returns:
            What was delivered since `start_delivery`, and what is still pending.
        """
        assert status in FINAL_STATUSES, status
        self.close()
        write_status(self._spool, RunStatus(status, cause or None, now_ms()))
        if self._thread is None:
            self.start_delivery()
        assert self._thread is not None
        delivery = self._thread.drain(patience_s)
        self._thread = None
        _report_rest(delivery, self._spool, "records of this run")
        return delivery

    def log_start(self, params: Mapping[str, str], dataset: DatasetRecord | None) -> None:
        """Record that the run has started.

        Args:
            params: settings by which runs are compared.
            dataset: what the run trains on; None for a sweep's parent run.
        """
        write_status(self._spool, RunStatus("RUNNING"))
        if params:
            self._writer.params({metric_name(key): value for key, value in params.items()})
        if dataset is not None:
            self._writer.dataset(dataset)


@contextmanager
def adding_to(work_dir: WorkDir) -> Iterator[RunAddition]:
    """Add results to the MLflow run of a work_dir that has ended, and deliver them at the end of the block.

    If the block raises, nothing is delivered now, but what it recorded stays in the spool.
    """
    addition = RunAddition(work_dir.spool)
    try:
        yield addition
    finally:
        addition.close()
    _report_rest(deliver_run(work_dir.root), work_dir.spool, "records")


def _report_rest(delivery: Delivery, spool: Path, records: str) -> None:
    if not delivery.complete:
        logger.warning(
            "%d %s wait in %s, because MLflow does not take them now (%s). Nothing is lost. When it is back, type: "
            "python -m vision_research.track sync %s",
            delivery.pending,
            records,
            spool,
            delivery.problem,
            shlex.quote(str(spool.parent)),
        )
