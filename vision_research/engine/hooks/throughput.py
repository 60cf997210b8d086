"""Measures how fast a training runs and how much memory of the host it takes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable
from typing import Any

import psutil
from mmengine import dist
from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS

from vision_research.engine.branches import samples_of

MB = 2**20


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Put `train/images_per_s`, `train/rss_mb` and `train/workers_rss_mb` into the log, without any synchronisation.

    Images per second count all ranks: the images of this rank since the last log line, times the number of ranks (they
    run in step), over the time that passed without validations. Memory is that of rank 0 and of its loader workers, in
    2^20 bytes; pages that forked workers share are counted in each. MMEngine logs the GPU's peak as `memory` itself.

    Args:
        interval: iterations between two measurements; None takes the interval of the LoggerHook.
    """

    # After IterTimerHook (50, registered before), before the LoggerHook (60) that reads what this writes.
    priority = "NORMAL"

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._num_images = 0
        self._busy_s = 0.0
        self._started_s = 0.0

    def before_train(self, runner: Any) -> None:
        """Take over the rhythm of the log."""
        if self.interval is None:
            loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
            self.interval = loggers[0].interval if loggers else 10
        self._started_s = time.perf_counter()

    def before_train_epoch(self, runner: Any) -> None:
        """Leave the validation before this epoch out of the time."""
        self._started_s = time.perf_counter()

    def after_val(self, runner: Any) -> None:
        """Leave a validation between two iterations out of the time."""
        self._started_s = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Count the batch; measure when a log line is due."""
        now_s = time.perf_counter()
        self._busy_s += now_s - self._started_s
        self._started_s = now_s
        self._num_images += _batch_size(data_batch)
        assert self.interval is not None, "set in before_train"
        if self.every_n_inner_iters(batch_idx, self.interval):
            images_per_s = self._num_images * dist.get_world_size() / max(self._busy_s, 1e-9)
            workers = (worker.pid for worker in multiprocessing.active_children() if worker.pid is not None)
            hub = runner.message_hub
            # Not resumed: a checkpoint need not carry what the next machine will measure anew.
            hub.update_scalar("train/images_per_s", images_per_s, resumed=False)
            hub.update_scalar("train/rss_mb", psutil.Process().memory_info().rss / MB, resumed=False)
            hub.update_scalar("train/workers_rss_mb", _rss_bytes(workers) / MB, resumed=False)
            self._num_images, self._busy_s = 0, 0.0


def _batch_size(data_batch: Any) -> int:
    inputs = data_batch.get("inputs", ()) if isinstance(data_batch, dict) else data_batch or ()
    if isinstance(inputs, dict):
        # A teacher and its student see the same images in branches of their own.
        return len(samples_of(data_batch))
    return len(inputs)


def _rss_bytes(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            # It ended between the listing and the look.
            continue
    return total
