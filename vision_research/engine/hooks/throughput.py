"""Measures the speed of a training and the host memory that it takes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psutil
from mmengine import dist
from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS

from vision_research.engine.hook_arguments import num_images

MB = 2**20


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log `train/images_per_s`, `train/rss_mb` and `train/workers_rss_mb`, without synchronising the ranks.

    Images per second count all ranks: the images of this rank since the last log line, times the number of ranks,
    divided by the time without validations. Memory is that of rank 0 and of its loader workers, in 2^20 bytes; pages
    that forked workers share are counted in each. MMEngine itself logs the peak of the GPU as `memory`.

    Args:
        interval: iterations between two measurements; None takes the interval of the LoggerHook.
    """

    # After IterTimerHook (50, registered before), before LoggerHook (60), which reads these values.
    priority = "NORMAL"

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._num_images = 0
        self._busy_s = 0.0
        self._started_s = 0.0

    def before_train(self, runner: Any) -> None:
        """Take the interval of the log if none is set."""
        if self.interval is None:
            loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
            self.interval = loggers[0].interval if loggers else 10
        self._started_s = time.perf_counter()

    def before_train_epoch(self, runner: Any) -> None:
        """Exclude the validation before this epoch from the time."""
        self._started_s = time.perf_counter()

    def after_val(self, runner: Any) -> None:
        """Exclude a validation between two iterations from the time."""
        self._started_s = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Count the images; measure when a log line is due."""
        now_s = time.perf_counter()
        self._busy_s += now_s - self._started_s
        self._started_s = now_s
        self._num_images += num_images(data_batch)
        assert self.interval is not None, "set in before_train"
        if self.every_n_inner_iters(batch_idx, self.interval):
            images_per_s = self._num_images * dist.get_world_size() / max(self._busy_s, 1e-9)
            workers = (worker.pid for worker in multiprocessing.active_children() if worker.pid is not None)
            hub = runner.message_hub
            # Not resumed: these values need not be in a checkpoint.
            hub.update_scalar("train/images_per_s", images_per_s, resumed=False)
            hub.update_scalar("train/rss_mb", psutil.Process().memory_info().rss / MB, resumed=False)
            hub.update_scalar("train/workers_rss_mb", _rss_bytes(workers) / MB, resumed=False)
            self._num_images, self._busy_s = 0, 0.0


def _rss_bytes(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it may have ended since it was listed
            total += psutil.Process(pid).memory_info().rss
    return total
