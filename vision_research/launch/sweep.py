"""The parent run of a Hydra sweep: opened before its first job, closed after its last."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vision_research.config.schema import Tracker


class SweepRun(Callback):
    """Opens one MLflow run per sweep; each job's own run becomes its child.

    It works with every sweeper and launcher, since jobs find the parent through a file in the sweep's folder.
    """

    def __init__(self) -> None:
        self._failed = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the parent run."""
        tracking = config.tracking
        if Tracker(tracking.kind) is Tracker.none:
            return
        # Imported here: `--cfg job` makes this callback too, and should not wait for the tracker.
        from vision_research.tracking.params import flat_params, run_tags
        from vision_research.tracking.run import TrackingSettings
        from vision_research.tracking.source_version import source_version
        from vision_research.tracking.sweep import open_parent
        from vision_research.tracking.uri import resolve_uri

        uri = resolve_uri(tracking.uri, Path.cwd())
        settings = TrackingSettings(uri=uri, experiment=tracking.experiment, request_timeout_s=tracking.timeout_s)
        swept = dict(override.split("=", 1) for override in config.hydra.overrides.task if "=" in override)
        tags = run_tags(sys.orig_argv, source_version(Path.cwd()))
        open_parent(settings, _sweep_dir(config), flat_params(swept), tags)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Count what failed."""
        self._failed += job_return.status is not JobStatus.COMPLETED

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the parent run."""
        if Tracker(config.tracking.kind) is Tracker.none:
            return
        from vision_research.tracking.sweep import close_parent

        cause = f"{self._failed} jobs failed" if self._failed else None
        close_parent(_sweep_dir(config), "FAILED" if self._failed else "FINISHED", cause)


def _sweep_dir(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir).absolute()
