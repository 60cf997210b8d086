"""Adds results to a run that has ended: an evaluation, an export, thresholds.

The same way as a training's own: on disk first, then delivered. With the server away nothing is lost and nothing waits.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vision_research.tracking.names import metric_name
from vision_research.tracking.spool import SpoolWriter
from vision_research.tracking.sync import deliver_run
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)


class RunAddition:
    """Takes results of one command; `adding_to` delivers them."""

    def __init__(self, spool: Path) -> None:
        """Use `adding_to`."""
        self._writer = SpoolWriter(spool)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record values under names whose levels are parted by `/`; other signs are escaped."""
        self._writer.metrics({metric_name(name): float(value) for name, value in values.items()}, step, essential=True)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set notes on the run."""
        self._writer.tags({metric_name(key): str(value) for key, value in tags.items()})

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Copy a file into a folder of the run; it must stay until it is delivered."""
        self._writer.artifact(path, artifact_path or "")

    def close(self) -> None:
        """End the records of this command."""
        self._writer.close()


@contextmanager
def adding_to(work_dir: WorkDir) -> Iterator[RunAddition]:
    """Add results to the tracked run of a work_dir, and deliver them at the end of the block.

    Nothing is delivered where the block raises; what it had recorded by then stays recorded.
    """
    addition = RunAddition(work_dir.spool)
    try:
        yield addition
    finally:
        addition.close()
    delivery = deliver_run(work_dir.root)
    if not delivery.complete:
        logger.warning(
            "%d records wait in %s, because MLflow does not take them now (%s). Nothing is lost. When it is back, "
            "type: python -m vision_research.track sync %s",
            delivery.pending,
            work_dir.spool,
            delivery.problem,
            shlex.quote(str(work_dir.root)),
        )
