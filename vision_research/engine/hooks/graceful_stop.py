"""Stops a training on request, at an iteration that all ranks agree on, and saves a checkpoint to resume from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS

from vision_research.engine.loader_workers import protect_workers
from vision_research.engine.stop_signal import stop_signal
from vision_research.work_dir import WorkDir, write_atomic


class TrainingStopped(BaseException):
    """The training was stopped on request; like KeyboardInterrupt, `except Exception` does not catch it."""


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """Stop at the end of an iteration when the work_dir holds `stop_request`, or a rank got SIGTERM or SIGINT.

    All ranks have to stop at the same iteration, or the others would wait forever in their next all-reduce. So each
    iteration starts an all-reduce of a flag, and reads the result of the iteration before, which has arrived by then.
    This costs one small message in the background, and a stop comes one iteration late.

        iteration      n-1        n              n+1
        rank 0         send 0     send 1 (file)  reads 1: save, stop
        rank 1         send 0     send 0         reads 1: stop

    A validation is finished first: with EMA it uses swapped weights, which must not be saved.
    """

    # After the scheduler's step and MMEngine's own checkpoint of the same iteration.
    priority = "LOWEST"

    def __init__(self) -> None:
        self._pending: tuple[torch.Tensor, Any] | None = None
        self._stop_checkpoint: Path | None = None

    def before_run(self, runner: Any) -> None:
        """Make workers of the validation ignore stop signals; the training loops do so for their own.

        Raises:
            ValueError: the run has no CheckpointHook to save with.
        """
        if not any(isinstance(hook, CheckpointHook) for hook in runner.hooks):
            raise ValueError(
                "GracefulStopHook saves with the settings of CheckpointHook: keep `checkpoint` in default_hooks"
            )
        if runner.val_loop is not None:
            protect_workers(runner.val_dataloader)

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Check for a request; save and stop if the ranks agreed to.

        Raises:
            TrainingStopped: on all ranks, in the same iteration.
        """
        is_in_file = dist.is_main_process() and WorkDir(Path(runner.work_dir)).stop_request.exists()
        if self._has_agreed_stop(stop_signal() is not None or is_in_file):
            path = save_now(runner, runner.iter + 1)
            # No rank may stop before the checkpoint is complete.
            dist.barrier()
            raise TrainingStopped(f"stopped as asked after iteration {runner.iter + 1}; saved {path}")

    def after_train_epoch(self, runner: Any) -> None:
        """Delete the checkpoint of an earlier stop once that of the epoch has been written."""
        last = runner.message_hub.get_info("last_ckpt")
        if self._stop_checkpoint is not None and last is not None and Path(last) != self._stop_checkpoint:
            if dist.is_main_process():
                self._stop_checkpoint.unlink(missing_ok=True)
            self._stop_checkpoint = None

    def before_train(self, runner: Any) -> None:
        """Remember the checkpoint that an epoch-based run resumed from, if a stop had saved it."""
        hook = _checkpoint_hook(runner)
        resumed_from = runner.message_hub.get_info("last_ckpt")
        if hook.by_epoch and resumed_from is not None and Path(resumed_from).name.startswith("iter_"):
            self._stop_checkpoint = Path(hook.out_dir) / Path(resumed_from).name

    def _has_agreed_stop(self, is_requested: bool) -> bool:
        if dist.get_world_size() == 1:
            return is_requested
        agreed = False
        if self._pending is not None:
            flag, work = self._pending
            work.wait()
            agreed = bool(flag.item())
        flag = torch.tensor(float(is_requested), device=dist.get_comm_device())
        self._pending = flag, torch.distributed.all_reduce(flag, async_op=True)
        return agreed


def save_now(runner: Any, num_iters: int) -> Path:
    """Save a checkpoint to resume from, and return its path.

    Args:
        runner: MMEngine's runner.
        num_iters: iterations done; within `after_train_iter` one more than `runner.iter`.
    """
    hook = _checkpoint_hook(runner)
    path = Path(hook.out_dir) / f"iter_{num_iters}.pth"
    runner.logger.info("Saving %s to resume from", path)
    if not hook.by_epoch and num_iters == runner.iter + 1:
        hook._save_checkpoint(runner)
        return path
    # It is named by iteration, so it must not enter `keep_ckpt_ids`, which holds epochs.
    runner.message_hub.update_info("last_ckpt", str(path))
    meta = {"epoch": runner.epoch, "iter": num_iters}
    backend_args = {"backend_args": hook.backend_args}
    runner.save_checkpoint(os.fspath(path.parent), path.name, meta=meta, by_epoch=False, **backend_args)
    if dist.is_main_process():
        write_atomic(WorkDir(Path(runner.work_dir)).last_checkpoint, str(path))
    return path


def _checkpoint_hook(runner: Any) -> CheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
