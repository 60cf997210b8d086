"""MMEngine's visualization back end of rank 0: it writes what LoggerHook logs to the spool.

It runs in a rank, so it imports no MLflow, and a record costs no more than a write to the page cache. Hooks get the
writer from MMEngine: `runner.visualizer.get_backend("SpoolVisBackend").experiment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.logging import MessageHub
from mmengine.registry import VISBACKENDS
from mmengine.visualization.vis_backend import BaseVisBackend, force_init_env

from vision_research.tracking.names import metric_name, name_below
from vision_research.tracking.spool import SpoolWriter

# LoggerHook's names, and ours with the unit; the memory is in units of 2^20 bytes (LogProcessor._get_max_memory).
_UNITS = {"time": "iter_time_s", "data_time": "data_time_s", "memory": "memory_mb"}
# Entries of a record that are not values but its position.
_AXES = ("iter", "epoch", "step")
_CLASS_SUFFIX = "_precision"
_COCO_PREFIX = "coco/"


@VISBACKENDS.register_module()
class SpoolVisBackend(BaseVisBackend):
    """Append every logged scalar to a spool.

    The step of every metric, in training and in validation, is the number of training iterations done. The epoch,
    counted from 1, is a separate metric. MMEngine logs validations by epoch; no chart could show those over the losses.

    Args:
        save_dir: MMEngine's folder for visualization; unused.
        spool_dir: the spool.
        limit_mb: undelivered size beyond which training metrics are dropped, in units of 10**6 bytes.
    """

    def __init__(self, save_dir: str, spool_dir: str, limit_mb: float = 256) -> None:
        super().__init__(save_dir)
        self._spool_dir = Path(spool_dir)
        self._limit_mb = limit_mb
        self._writer: SpoolWriter | None = None
        self._by_epoch = False
        self._step_of_epoch = -1

    @property
    @force_init_env  # type: ignore[untyped-decorator]
    def experiment(self) -> SpoolWriter:
        """The writer of the spool, with which hooks record tags, artifacts and metrics."""
        assert self._writer is not None
        return self._writer

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record one value.

        Args:
            name: name of the metric.
            value: a number or an array of one element.
            step: training iterations done.
            **kwargs: ignored.
        """
        self.experiment.metrics({metric_name(name): float(value)}, step, essential=True)

    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record what the LoggerHook logged after an iteration or a validation.

        Args:
            scalar_dict: values by LogProcessor's names; entries that are not numbers are left out.
            step: LoggerHook's step; used if MMEngine's message hub has no iteration.
            file_path: ignored.
            **kwargs: ignored.
        """
        # LogProcessor adds `iter` only to what it logs after a training iteration.
        is_train = "iter" in scalar_dict
        runtime = MessageHub.get_current_instance().runtime_info
        step = int(runtime["iter"]) + 1 if "iter" in runtime else step
        prefix = "train" if is_train else "val"
        values = {_name(key, prefix): number for key, number in _numbers(scalar_dict).items()}
        if is_train:
            self._by_epoch = "epoch" in scalar_dict
        if self._by_epoch and "epoch" in runtime and step != self._step_of_epoch:
            self._step_of_epoch = step
            values["epoch"] = float(runtime["epoch"]) + 1
        self.experiment.metrics(values, step, essential=not is_train)

    def close(self) -> None:
        """End the open segment of the spool."""
        if self._writer is not None:
            self._writer.close()

    def _init_env(self) -> None:
        self._writer = SpoolWriter(self._spool_dir, self._limit_mb)


@lru_cache(maxsize=4096)  # a name takes 4 microseconds, which would be most of the time of a record
def _name(key: str, prefix: str) -> str:
    plain = key.removeprefix(f"{prefix}/").removeprefix(_COCO_PREFIX)
    if prefix == "val" and plain.endswith(_CLASS_SUFFIX):
        return name_below("val/AP", plain.removesuffix(_CLASS_SUFFIX))
    return metric_name(f"{prefix}/{_UNITS.get(plain, plain)}")


def _numbers(scalars: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for key, value in scalars.items():
        if key in _AXES:
            continue
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError):  # metrics may return lists and texts
            continue
    return numbers
