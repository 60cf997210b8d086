"""Keeps the copy of a run's folder in S3 up to date, from a thread of the command that owns the run."""

from __future__ import annotations

import logging
import os
import sys
import threading

from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.mirror import Mirror

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0


class MirrorThread(threading.Thread):
    """Updates the copy every few seconds. While S3 does not answer, it warns once and tries again.

    Args:
        mirror: the folder and its copy.
        interval_s: seconds between two updates.
    """

    def __init__(self, mirror: Mirror, interval_s: float = INTERVAL_S) -> None:
        super().__init__(name="s3-mirror", daemon=True)
        self._mirror = mirror
        self._interval_s = interval_s
        self._ends = threading.Event()
        self._problem: S3Error | None = None

    def run(self) -> None:
        """Update until `finish` ends it."""
        if sys.platform == "linux":
            # The lowest priority, for this thread and those that it starts, so that they take no time from training.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not self._ends.wait(self._interval_s):
            self._update(everything=False)
        self._update(everything=True)

    def finish(self) -> None:
        """Upload the rest of the folder, and end the thread.

        Raises:
            S3Error: the copy is not complete.
        """
        self._ends.set()
        self.join()
        if self._problem is not None:
            raise self._problem

    def _update(self, *, everything: bool) -> None:
        try:
            self._mirror.update(everything=everything)
        except S3Error as error:
            if self._problem is None:
                logger.warning("The copy of the run in S3 is behind, and is tried again: %s", error)
            self._problem = error
        else:
            self._problem = None
