"""The MLflow parent run of a Hydra sweep: opened before the first job, closed after the last one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vision_research.config.schema import Tracker
from vision_research.processes.stop_signals import STOP_SIGNALS

# Exit codes of the train command after a signal to stop.
STOPPED_CODES = tuple(128 + number for number in STOP_SIGNALS)

_unfinished: list[SweepRun] = []


class SweepRun(Callback):
    """Opens one MLflow run per sweep, of which the runs of the jobs are children.

    Jobs find the parent through a file in the sweep's folder, so every sweeper and launcher works.
    """

    def __init__(self) -> None:
        self._failed = 0
        self._open: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the parent run."""
        tracking = config.tracking
        if Tracker(tracking.kind) is Tracker.none:
            return
        # Imported here: `--cfg job` creates this callback too, and importing the tracker takes seconds.
        from vision_research.tracking.params import flat_params, git_tags, run_tags
        from vision_research.tracking.run import TrackingSettings, open_parent
        from vision_research.tracking.uri import resolve_uri

        uri = resolve_uri(tracking.uri, Path.cwd())
        settings = TrackingSettings(uri=uri, experiment=tracking.experiment, request_timeout_s=tracking.timeout_s)
        swept = dict(override.split("=", 1) for override in config.hydra.overrides.task if "=" in override)
        tags = run_tags(sys.orig_argv, git_tags(Path.cwd()))
        open_parent(settings, _sweep_dir(config), flat_params(swept), tags)
        self._open = _sweep_dir(config)
        _unfinished.append(self)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Count the failed jobs.

        Args:
            config: not used.
            job_return: result of the job.
            **kwargs: not used.
        """
        self._failed += job_return.status is not JobStatus.COMPLETED

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the parent run."""
        self.close()

    def close(self, *, stopped: bool = False) -> None:
        """Close the parent run, if it is open; `stopped` says whether the user stopped the sweep."""
        if self._open is None:
            return
        from vision_research.tracking.run import close_parent

        failed = f"{self._failed} jobs failed" if self._failed else None
        status = "KILLED" if stopped else "FAILED" if failed else "FINISHED"
        close_parent(self._open, status, "the sweep was stopped" if stopped else failed)
        self._open = None


@contextmanager
def sweep_closed() -> Iterator[None]:
    """Close the parent run of a sweep that ends by a failed or stopped job, for which Hydra calls no callback."""
    stopped = False
    try:
        yield
    except KeyboardInterrupt:
        stopped = True
        raise
    except SystemExit as leaving:
        stopped = leaving.code in STOPPED_CODES
        raise
    finally:
        while _unfinished:
            _unfinished.pop().close(stopped=stopped)


def _sweep_dir(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir).absolute()
