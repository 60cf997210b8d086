"""Adds results to a run that has ended: an evaluation, an export, thresholds.

Results are written to the spool on disk first and then delivered, as those of a training are. If the server does not
answer, nothing is lost and the command does not wait.
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
    """Records the results of one command; `adding_to` makes it and delivers them."""

    def __init__(self, spool: Path) -> None:
        """Call `adding_to` instead."""
        self._writer = SpoolWriter(spool)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record metrics.

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


@contextmanager
def adding_to(work_dir: WorkDir) -> Iterator[RunAddition]:
    """Add results to the MLflow run of a work_dir, and deliver them at the end of the block.

    If the block raises, nothing is delivered now, but what it recorded stays in the spool.
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
