"""Records a run in MLflow: settings and inputs before the ranks start, results after they ended."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute
from vision_research.config.schema import Tracker
from vision_research.deploy.export_metrics import export_metrics
from vision_research.engine.outcome import event_tags
from vision_research.flow.prepare import PreparedRun
from vision_research.launch.outcome import Outcome
from vision_research.lowering.schedule import learning_rate
from vision_research.ops.mmcv_ext.dispatch import in_use
from vision_research.tracking.params import flat_params, git_tags, run_tags
from vision_research.tracking.records import DatasetRecord
from vision_research.tracking.results import result_files
from vision_research.tracking.run import TrackingSettings, parent_of, start_run
from vision_research.tracking.sync import find_undelivered
from vision_research.tracking.tracked_run import TrackedRun
from vision_research.tracking.uri import resolve_uri

logger = logging.getLogger(__name__)


def _curated_params(run: PreparedRun) -> dict[str, Any]:
    """Return the parameters by which runs are compared: the options of the groups and the main numbers."""
    config = run.config
    lr = learning_rate(config, run.inputs)
    groups = ("model", "data", "aug", "schedule", "hw", "experiment")
    return {
        **{group: run.composition.choices[group] for group in groups},
        "lr": lr.value,
        "optimizer": run.mmengine["optim_wrapper"]["optimizer"]["type"],
        "batch_size": config.data.batch_size,
        "effective_batch": lr.effective_batch,
        "accumulation": config.schedule.accumulation,
        "world_size": run.hardware.world_size,
        "precision": config.hw.precision.value,
        "ops": in_use(run.hardware.on_gpu),
        "max_epochs": config.schedule.max_epochs,
        "max_iters": config.schedule.max_iters,
        "final_epochs": config.aug.final_epochs,
        "seed": config.seed,
        "image_size": config.image_size,
        "weights": config.model["weights"],
        "num_classes": len(run.facts.classes),
    }


class Recorder:
    """Records one run; without a tracker it records nothing. `recording` creates it."""

    def __init__(self, run: PreparedRun, tracked: TrackedRun | None) -> None:
        self._run = run
        self._tracked = tracked
        self._outcome: Outcome | None = None

    @property
    def how_to_open(self) -> str | None:
        """The command that opens the run, or None without a tracker."""
        return None if self._tracked is None else self._tracked.how_to_open

    def add_outcome(self, outcome: Outcome) -> None:
        """Record the final metrics, events, checkpoints, logs and the exported model."""
        self._outcome = outcome
        if self._tracked is None:
            return
        work_dir = self._run.work_dir
        self._tracked.set_tags({**outcome.checkpoint_tags, **event_tags(work_dir.root)})
        wanted = self._run.config.tracking.log_checkpoints
        checkpoints = [Path(entry["path"]) for entry in (outcome.best, outcome.last) if entry and wanted]
        for folder, paths in result_files(work_dir, checkpoints, outcome.model).items():
            for path in paths:
                self._tracked.log_artifact(path, folder)
        if outcome.model is not None:
            for name, values in export_metrics(outcome.model.parent).items():
                self._tracked.log_metrics({f"export/{name}/{key}": value for key, value in values.items()}, step=0)
        if outcome.best_value is not None:
            monitor = self._run.config.schedule.monitor.rpartition("/")[2]
            self._tracked.log_metrics({f"best/{monitor}": outcome.best_value}, step=int(outcome.best["iteration"]))

    def finish(self, *, stopped: bool = False) -> None:
        """Set the final status of the run and deliver what is still spooled.

        Args:
            stopped: whether a signal ended the command.
        """
        if self._tracked is None:
            return
        cause = "the command ended before its results were recorded"
        outcome = self._outcome or Outcome("KILLED" if stopped else "FAILED", cause)
        self._tracked.finish(outcome.status, outcome.cause or None)

    def add_inputs(self) -> None:
        """Record the files that define the run, as soon as they are written."""
        if self._tracked is None:
            return
        folder = self._run.work_dir
        paths = (folder.overrides, folder.config_yaml, folder.config_py, folder.launch_json, folder.environment)
        for path in paths:
            self._tracked.log_artifact(path)


@contextmanager
def recording(run: PreparedRun) -> Iterator[Recorder]:
    """Open the MLflow run, and finish it after the export."""
    recorder = Recorder(run, _start(run))
    try:
        yield recorder
    except (KeyboardInterrupt, SystemExit):
        recorder.finish(stopped=True)
        raise
    except BaseException:
        recorder.finish()
        raise
    recorder.finish()


def _start(run: PreparedRun) -> TrackedRun | None:
    config, facts, sweep = run.config, run.facts, run.composition.sweep_dir
    if config.tracking.kind is Tracker.none:
        return None
    tracking = config.tracking
    tracked = start_run(
        TrackingSettings(
            uri=resolve_uri(tracking.uri, Path.cwd()),
            experiment=tracking.experiment,
            run_name=tracking.run_name,
            spool_limit_mb=tracking.spool_limit_mb,
            request_timeout_s=tracking.timeout_s,
            tags=dict(tracking.tags),
        ),
        run.work_dir,
        params=flat_params(_curated_params(run)),
        tags=run_tags(sys.orig_argv, git_tags(Path.cwd())),
        dataset=DatasetRecord(
            name=run.composition.choices["data"],
            digest=facts.digest,
            source=absolute(config.data.root),
            num_train=facts.num_train,
            num_val=facts.num_val,
            classes=facts.classes,
        ),
        parent_run_id=None if sweep is None else parent_of(sweep),
        resume=bool(config.resume),
    )
    tracked.start_delivery(earlier=find_undelivered(Path(config.storage.runs).absolute()))
    return tracked
