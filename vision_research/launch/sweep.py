"""The parent run of a Hydra sweep: opened before its first job, closed after its last."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

logger = logging.getLogger(__name__)


class SweepRun(Callback):
    """Opens one MLflow run per sweep; each job's own run becomes its child.

    It works with every sweeper and launcher: jobs find the parent through a file in the sweep's folder.
    """

    def __init__(self) -> None:
        self._failed = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the parent run."""
        if OmegaConf.select(config, "tracking.kind", default=None) is None or config.tracking.kind.name == "none":
            return
        from vision_research.tracking.sweep import open_parent

        open_parent(tracking_settings(config), _sweep_dir(config), list(config.hydra.overrides.task))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Count what failed."""
        self._failed += job_return.status is not JobStatus.COMPLETED

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the parent run."""
        from vision_research.tracking.sweep import close_parent

        close_parent(_sweep_dir(config), "FAILED" if self._failed else "FINISHED")


def _sweep_dir(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir).absolute()
