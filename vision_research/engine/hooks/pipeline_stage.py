"""Two-stage augmentation: from some epoch or iteration on, training images go through another pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcv.transforms import Compose
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from vision_research.engine.outcome import record_event
from vision_research.engine.skip_batches import BatchStream


@HOOKS.register_module()
class PipelineStageHook(Hook):
    """Replace the pipeline of every data set of the training loader at `switch_at`.

    This includes the data sets inside of wrappers (Repeat, Concat, ClassBalanced, MultiImageMix, sliced). MMDetection's
    `PipelineSwitchHook` sets an attribute of the outermost wrapper, which no wrapper reads.

    Args:
        switch_at: epochs (or iterations) before the switch: with 8 of 10 epochs, the last two use the new pipeline.
        by_epoch: whether `switch_at` counts epochs; else iterations.
        pipeline: transforms of the second stage, from loading to packing.
    """

    priority = "NORMAL"

    def __init__(self, switch_at: int, by_epoch: bool, pipeline: list[dict[str, Any]]) -> None:
        self.switch_at = switch_at
        self.by_epoch = by_epoch
        self.pipeline = pipeline
        self._switched = False

    def before_train(self, runner: Any) -> None:
        """Switch in an iteration-based run that resumes after the switch."""
        if not self.by_epoch and runner.iter >= self.switch_at:
            self._switch(runner, num_done=runner.iter)

    def before_train_epoch(self, runner: Any) -> None:
        """Switch before the first epoch of the second stage, or before the first epoch after a later resume."""
        if self.by_epoch and runner.epoch >= self.switch_at:
            self._switch(runner, num_done=0)

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Switch before the first batch of the second stage is loaded."""
        if not self.by_epoch and runner.iter + 1 >= self.switch_at:
            self._switch(runner, num_done=runner.iter + 1)

    def _switch(self, runner: Any, num_done: int) -> None:
        if self._switched:
            return
        self._switched = True
        unit = "epoch" if self.by_epoch else "iter"
        loop = runner.train_loop
        changes = switch_pipelines(loop.dataloader.dataset, self.pipeline)
        _restart_workers(loop, num_done)
        runner.logger.info("Second stage of the augmentation from %s %d on:", unit, self.switch_at + 1)
        for change in changes:
            runner.logger.info("  %s", change)
        record_event(Path(runner.work_dir), "pipeline_stage", **{unit: self.switch_at + 1}, changes=changes)


def _restart_workers(loop: Any, num_done: int) -> None:
    """Load the batches from `num_done` on with new workers, which use the data set as it is now.

    Running workers hold copies of the data set as it was when they started, and have batches of it in their queues. An
    epoch-based loop must be between two epochs.
    """
    # The loader keeps persistent workers here; other workers are started anew by every `iter()`.
    loop.dataloader._iterator = None
    stream = getattr(loop, "dataloader_iterator", None)
    if isinstance(stream, BatchStream):
        stream.restart(num_done)
    elif stream is not None:
        loop.dataloader_iterator = BatchStream(loop.dataloader, num_done)


def switch_pipelines(dataset: Any, pipeline: list[dict[str, Any]]) -> list[str]:
    """Replace the transforms of a data set, or of all data sets that it wraps.

    Args:
        dataset: a built data set, changed in place.
        pipeline: transforms from loading to packing; built once for every data set.

    Returns:
        A line for each change: the data set, its transforms before and after.

    Raises:
        ValueError: nothing was changed.
    """
    changes = [
        change for node in datasets_with_transforms(dataset) if (change := _set_pipeline(node, pipeline)) is not None
    ]
    if not changes:
        raise ValueError(
            f"the second stage of the augmentation changed nothing: {type(dataset).__name__} holds no data set with "
            "other transforms than those of the second stage. Type aug.final_epochs=0 if one stage is meant."
        )
    return changes


def datasets_with_transforms(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that have transforms: first those that are wrapped, then the wrappers that mix their images.

    Raises:
        TypeError: a data set has no transforms and wraps no data set.
    """
    inner = getattr(dataset, "datasets", None)
    if inner is None:
        # MMEngine's `_SlicedDataset` (num_batch_per_epoch) has `_dataset`, and forwards every other attribute.
        one = vars(dataset).get("_dataset", vars(dataset).get("dataset"))
        inner = [] if one is None else [one]
    for child in inner:
        yield from datasets_with_transforms(child)
    if "pipeline" in vars(dataset):
        yield dataset
    elif not inner:
        raise TypeError(f"{type(dataset).__name__} has no `pipeline` and wraps no data set that could have one")


def _set_pipeline(dataset: Any, pipeline: list[dict[str, Any]]) -> str | None:
    before = dataset.pipeline
    if hasattr(dataset, "pipeline_types"):
        # MultiImageMixDataset: the wrapped data set now applies the whole pipeline.
        dataset.pipeline, dataset.pipeline_types = [], []
    else:
        dataset.pipeline = Compose(pipeline)
    if repr(before) == repr(dataset.pipeline):
        return None
    return f"{type(dataset).__name__}: {_names(before)} -> {_names(dataset.pipeline)}"


def _names(pipeline: Any) -> str:
    transforms = getattr(pipeline, "transforms", pipeline)
    return ", ".join(type(transform).__name__ for transform in transforms) or "nothing"
