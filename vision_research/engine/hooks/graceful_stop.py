"""Ends a training on request: on one iteration that all ranks agree on, with a checkpoint to go on from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS

from vision_research.engine.loader_workers import shield_workers
from vision_research.engine.stop_signal import stop_signal
from vision_research.work_dir import WorkDir, write_atomic


class TrainingStopped(BaseException):
    """The training ended because it was asked to. Not an error: like KeyboardInterrupt it passes `except Exception`."""


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """Stop at the end of an iteration when the work_dir holds `stop_request`, or a rank got SIGTERM or SIGINT.

    One rank that leaves alone would hang the others in their next all-reduce. So each iteration starts an all-reduce
    of the wish to stop, and reads the one of the iteration before, which is long done: the cost is one small message
    in the background, and a stop is one iteration late.

        iteration      n-1        n              n+1
        rank 0         send 0     send 1 (file)  reads 1: save, leave
        rank 1         send 0     send 0         reads 1: leave

    A validation runs to its end first: with EMA it works on swapped weights, which must not be saved.

    Args:
        check_interval: iterations between two looks; the same on all ranks.
    """

    # After the scheduler's step and MMEngine's own checkpoint of the same iteration.
    priority = "LOWEST"

    def __init__(self, check_interval: int = 1) -> None:
        self.check_interval = check_interval
        self._pending: tuple[torch.Tensor, Any] | None = None
        self._stop_checkpoint: Path | None = None

    def before_run(self, runner: Any) -> None:
        """Keep the signals from the workers of the validation; the training loops shield their own.

        Raises:
            ValueError: the run has no CheckpointHook to save with.
        """
        if not any(isinstance(hook, CheckpointHook) for hook in runner.hooks):
            raise ValueError(
                "GracefulStopHook saves with the settings of CheckpointHook: keep `checkpoint` in default_hooks"
            )
        if runner.val_loop is not None:
            shield_workers(runner.val_dataloader)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Look for a request; on an agreed stop save and leave.

        Raises:
            TrainingStopped: on all ranks, in the same iteration.
        """
        if not self.every_n_train_iters(runner, self.check_interval):
            return
        if self._agreed(self._wanted(runner)):
            path = save_now(runner, runner.iter + 1)
            # No rank may leave before the checkpoint is whole.
            dist.barrier()
            raise TrainingStopped(f"stopped as asked after iteration {runner.iter + 1}; saved {path}")

    def after_train_epoch(self, runner: Any) -> None:
        """Delete the checkpoint of an earlier stop once the epoch's own has been written."""
        last = runner.message_hub.get_info("last_ckpt")
        if self._stop_checkpoint is not None and last is not None and Path(last) != self._stop_checkpoint:
            if dist.is_main_process():
                self._stop_checkpoint.unlink(missing_ok=True)
            self._stop_checkpoint = None

    def before_train(self, runner: Any) -> None:
        """Remember the checkpoint that an epoch-based run resumed from, if a stop had made it."""
        hook = _checkpoint_hook(runner)
        resumed_from = runner.message_hub.get_info("last_ckpt")
        if hook.by_epoch and resumed_from is not None and Path(resumed_from).name.startswith("iter_"):
            self._stop_checkpoint = Path(hook.out_dir) / Path(resumed_from).name

    def _wanted(self, runner: Any) -> bool:
        if stop_signal() is not None:
            return True
        return dist.is_main_process() and WorkDir(Path(runner.work_dir)).stop_request.exists()

    def _agreed(self, wanted: bool) -> bool:
        if dist.get_world_size() == 1:
            return wanted
        agreed = False
        if self._pending is not None:
            flag, work = self._pending
            work.wait()
            agreed = bool(flag.item())
        flag = torch.tensor(float(wanted), device=dist.get_comm_device())
        self._pending = flag, torch.distributed.all_reduce(flag, async_op=True)
        return agreed


def save_now(runner: Any, num_iters: int) -> Path:
    """Save a checkpoint to go on from, between two iterations; return its path.

    Args:
        runner: MMEngine's.
        num_iters: iterations done. Inside of an `after_train_iter` that is one more than the runner says.
    """
    hook = _checkpoint_hook(runner)
    path = Path(hook.out_dir) / f"iter_{num_iters}.pth"
    runner.logger.info("Saving %s to go on from", path)
    if not hook.by_epoch and num_iters == runner.iter + 1:
        hook._save_checkpoint(runner)
        return path
    # Named by iteration and kept out of `keep_ckpt_ids`, whose numbers are epochs; deleted after the epoch's own.
    runner.message_hub.update_info("last_ckpt", str(path))
    meta = {"epoch": runner.epoch, "iter": num_iters}
    backend_args = {"backend_args": hook.backend_args}
    runner.save_checkpoint(os.fspath(path.parent), path.name, meta=meta, by_epoch=False, **backend_args)
    if dist.is_main_process():
        write_atomic(WorkDir(Path(runner.work_dir)).last_checkpoint, str(path))
    return path


def _checkpoint_hook(runner: Any) -> CheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
