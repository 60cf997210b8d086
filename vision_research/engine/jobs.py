"""The jobs of a process that torchrun starts: train, or export. Both read a work_dir and write an outcome file."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import distributed

from vision_research.console.quiet import quiet_console, quiet_warnings
from vision_research.detectors.build import repaired
from vision_research.engine.checkpoints import describe_checkpoints, find_resumable, training_checkpoints
from vision_research.engine.hooks.finite_loss import NonFiniteLossError, NonFiniteWeightsError
from vision_research.engine.hooks.graceful_stop import TrainingStopped, save_now
from vision_research.engine.hooks.progress import ProgressHook
from vision_research.engine.loader_workers import stop_workers
from vision_research.engine.outcome import write_failure, write_outcome
from vision_research.engine.ownership import is_owner, require_ownership
from vision_research.engine.stop_signal import catch_stop_signals
from vision_research.storage.checkpoint_types import allow_checkpoint_types, load_checkpoint_safely
from vision_research.storage.s3.errors import S3GaveUpError
from vision_research.work_dir import WorkDir, write_json

logger = logging.getLogger(__name__)

OUTAGE = S3GaveUpError.__name__


class WorkDirRunner(Runner):
    """MMEngine's Runner, which does not overwrite the `config.py` that it was built from."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> Runner:
        """Build a runner; for its log and for every checkpoint, MMEngine would have yapf format the config anew."""
        return super().from_cfg(Config(cfg.to_dict(), filename=cfg.filename, format_python_code=False))

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Build MMEngine's logger, which writes its long messages only to the log file."""
        built = super().build_logger(*args, **kwargs)
        quiet_console(built)
        return built

    def build_model(self, model: Any) -> Any:
        """Build the detector, with the defects of MMDetection's heads repaired."""
        return repaired(super().build_model(model))

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint, unless another command owns the folder by now."""
        require_ownership(WorkDir(Path(self.work_dir)))
        super().save_checkpoint(*args, **kwargs)

    def dump_config(self) -> None:
        """Write nothing: the parent class would overwrite `config.py` while other ranks read it."""


def train(work_dir: WorkDir, resume: Path | None) -> None:
    """Train as `config.py` of the work_dir says, and write `outcome.json`.

    A rank that torchrun has restarted resumes from the newest whole checkpoint.

    Args:
        work_dir: folder of the run.
        resume: checkpoint to resume from; None starts anew.

    Raises:
        Exception: the error that ended the training. After a requested stop the function returns.
    """
    runner: Runner | None = None
    quiet_warnings()
    try:
        with catch_stop_signals():
            runner = _build_runner(work_dir, resume)
            runner.train()
    except TrainingStopped as stop:
        _record_end(work_dir, "KILLED", runner, cause=str(stop))
    except BaseException as error:
        if not is_owner(work_dir):
            raise
        images = {"image_names": error.image_names} if isinstance(error, NonFiniteLossError) else {}
        # The rank that saves may fail first, but only the rank whose loss was not finite knows the images.
        is_consequence = isinstance(error, NonFiniteWeightsError)
        write_failure(work_dir.outcome, error, is_consequence=is_consequence, **_progress(runner), **images)
        _save_after_outage(work_dir, runner)
        raise
    else:
        _record_end(work_dir, "FINISHED", runner)
    finally:
        _close(runner)


def export(work_dir: WorkDir) -> None:
    """Export as `export/request.json` of the work_dir says, and write `export/outcome.json`.

    Raises:
        Exception: the error that ended the export.
    """
    from vision_research.deploy.export import ExportRequest, export_detector

    outcome = work_dir.export_outcome
    quiet_warnings()
    try:
        request = ExportRequest.from_json((work_dir.export_dir / "request.json").read_text(encoding="utf-8"))
        exported = export_detector(request, load_checkpoint_safely)
    except BaseException as error:
        write_failure(outcome, error)
        raise
    artifacts = [{"artifact": str(one.path), "manifest": asdict(one.manifest)} for one in exported]
    write_json(outcome, {"status": "FINISHED", **artifacts[0], "artifacts": artifacts})


def _build_runner(work_dir: WorkDir, resume: Path | None) -> Runner:
    cfg = Config.fromfile(work_dir.config_py)
    # The folder may have been moved or copied since the config was written.
    cfg.work_dir = str(work_dir.root)
    if resume is None and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0:
        resume = _after_restart(work_dir)
    allow_checkpoint_types()
    if resume is not None:
        cfg.resume, cfg.load_from = True, str(resume)
    prepare_distributed(cfg)
    return WorkDirRunner.from_cfg(cfg)


def _after_restart(work_dir: WorkDir) -> Path | None:
    if not training_checkpoints(work_dir.root):
        return None
    found = find_resumable(work_dir.root)
    logger.warning("torchrun has started this rank again: resuming from %s. %s", found.path, found.warning or "")
    return found.path


def _record_end(work_dir: WorkDir, status: str, runner: Any, **fields: Any) -> None:
    if is_main_process():
        require_ownership(work_dir)
        record = {**_progress(runner), **describe_checkpoints(work_dir.root), **fields}
        write_outcome(work_dir.outcome, status, **record)


def _save_after_outage(work_dir: WorkDir, runner: Any) -> None:
    """Save a checkpoint if the training failed because S3 could not be reached, so that it can be resumed later.

    The rank that saves may have failed only as a consequence, of a closed connection, so the cause is read from the
    outcome. Nothing is saved during a validation: with EMA the weights are swapped then, and a checkpoint was saved
    before it.
    """
    is_outage = work_dir.outcome.is_file() and json.loads(work_dir.outcome.read_text())["error_type"] == OUTAGE
    if is_outage and is_main_process() and _progress(runner) and runner.iter > 0 and runner.model.training:
        save_now(runner, runner.iter)


def _progress(runner: Any) -> dict[str, Any]:
    """Return the epoch and iteration that a training reached, and the values of its last validation."""
    if runner is None or not hasattr(runner.train_loop, "iter"):
        return {}
    scalars = runner.message_hub.log_scalars
    names = [name for name in scalars if name.startswith("val/") and name not in ("val/time", "val/data_time")]
    metrics = {name.removeprefix("val/"): float(scalars[name].current()) for name in names}
    return {"epoch": runner.epoch, "iter": runner.iter, "metrics": metrics}


def _close(runner: Any) -> None:
    """Close hooks and loaders, because MMEngine calls neither `after_train` nor `after_run` if a training raises."""
    if runner is None:
        return
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.close()
    stop_workers(runner._train_loop, runner._val_loop)
    runner.visualizer.close()


def prepare_distributed(cfg: Config) -> None:
    """Set the launcher of a config, in place, from torchrun's environment; on CPUs, also join the process group.

    A single process trains without DDP, so that its losses are those of stock MMDetection. On CPU ranks MMEngine 0.10.7
    fails: `init_dist` always calls `torch.cuda.set_device` (mmengine/dist/utils.py), and the Runner passes LOCAL_RANK
    to DDP as a device. So this function makes the gloo group, which the Runner then uses, and gives DDP no device.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    cfg.launcher = "pytorch" if world_size > 1 else "none"
    if world_size == 1 or torch.cuda.is_available():
        return
    wrapper = cfg.get("model_wrapper_cfg") or {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    wrapper.setdefault("find_unused_parameters", bool(cfg.get("find_unused_parameters", False)))
    cfg.model_wrapper_cfg = {**wrapper, "device_ids": None}
    if not distributed.is_initialized():
        timeout_s = (cfg.get("env_cfg") or {}).get("dist_cfg", {}).get("timeout", 1800)
        distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout_s))
