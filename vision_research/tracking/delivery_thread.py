"""Delivers a spool while the training runs, from a daemon thread of the command that owns the run.

Problems of the store only delay delivery. They are reported by one line when they begin, and one when they end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vision_research.tracking.client import Store
from vision_research.tracking.delivery import Delivery, deliver
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.sync import deliver_run

logger = logging.getLogger(__name__)

INTERVAL_S = 5.0
_LONGEST_INTERVAL_S = 60.0
_RETRY_S = 1.0
# Records of an earlier run's backlog that are delivered between two passes of this run.
_EARLIER_RECORDS = 1000


class DeliveryThread(threading.Thread):
    """Makes a pass every few seconds, and less often while the store does not answer."""

    def __init__(
        self, run: RunRecord, folder: Path, store: Store, earlier: Sequence[Path] = (), interval_s: float = INTERVAL_S
    ) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            run: the run to deliver to.
            folder: its spool.
            store: the store that holds the run.
            earlier: folders of earlier runs with undelivered records.
            interval_s: seconds between two passes while the store answers.
        """
        super().__init__(name="mlflow-delivery", daemon=True)
        self._run_record = run
        self._folder = folder
        self._store = store
        self._earlier = deque(earlier)
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._draining = False
        self._last = Delivery(0, 0)
        self._num_failed = 0
        self._last_progress = time.monotonic()
        self._patience_s = 0.0
        self._num_delivered = 0

    def run(self) -> None:
        """Make passes until `drain` ends them."""
        while True:
            draining = self._draining
            self._last = self._make_pass()
            self._num_delivered += self._last.delivered
            self._report(self._last)
            if draining and (self._last.complete or self._is_out_of_patience()):
                return
            if not draining and self._last.complete and self._earlier:
                self._deliver_earlier()
            self._wake.wait(self._pause_s())
            self._wake.clear()

    def drain(self, patience_s: float) -> Delivery:
        """Deliver everything now, end the thread, and return what was delivered since it started.

        Continues while the store accepts something. Gives up if the last pass failed and the store has accepted nothing
        for `patience_s` seconds. Every request has a time limit, so this ends.
        """
        self._patience_s = patience_s
        self._last_progress = time.monotonic()
        self._draining = True
        self._wake.set()
        self.join()
        return replace(self._last, delivered=self._num_delivered)

    def _is_out_of_patience(self) -> bool:
        return self._last.problem is not None and time.monotonic() - self._last_progress > self._patience_s

    def _make_pass(self) -> Delivery:
        try:
            return deliver(self._run_record, self._folder, self._store, on_progress=self._note_progress)
        except Exception as error:  # a failure must not end the training; the records stay on disk
            logger.exception("Delivery to MLflow failed; it is tried again")
            return Delivery(0, 1, f"{type(error).__name__}: {error}")

    def _note_progress(self) -> None:
        self._last_progress = time.monotonic()

    def _deliver_earlier(self) -> None:
        folder = self._earlier.popleft()
        try:
            outcome = deliver_run(folder, record_limit=_EARLIER_RECORDS)
        except Exception:  # an unreadable folder of another run must not stop this one
            logger.exception("%s could not be delivered. Look at it with: python -m vision_research.track sync", folder)
            return
        if outcome.complete:
            logger.info("Delivered to MLflow what waited in %s", folder)
        elif outcome.problem is None:
            self._earlier.appendleft(folder)
            self._wake.set()
        else:
            logger.warning("%s still waits for MLflow: %s", folder, outcome.problem)

    def _report(self, outcome: Delivery) -> None:
        if outcome.problem and not self._num_failed:
            logger.warning(
                "MLflow does not take records now (%s). Training goes on; %d records wait in %s until it does.",
                outcome.problem,
                outcome.pending,
                self._folder,
            )
        elif not outcome.problem and self._num_failed:
            logger.info("MLflow takes records again; %d delivered.", outcome.delivered)
        self._num_failed = self._num_failed + 1 if outcome.problem else 0

    def _pause_s(self) -> float:
        if self._draining:
            return _RETRY_S
        longest = max(_LONGEST_INTERVAL_S, self._interval_s)
        return min(self._interval_s * float(2 ** min(self._num_failed, 10)), longest)
