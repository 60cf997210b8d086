"""Turns on YOLOX' L1 loss for the end of training, when mosaic has ended."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class L1LossHook(Hook):
    """Sets `use_l1` of the head, as YOLOX does for its last epochs (Ge et al., arXiv:2107.08430).

    MMDetection's own `YOLOXModeSwitchHook` also edits the data pipeline, and only that of a `MultiImageMixDataset`.

    Args:
        switch_at: epoch or iteration from which on the loss counts.
        by_epoch: what `switch_at` counts in.
    """

    priority = 48

    def __init__(self, switch_at: int, by_epoch: bool = True) -> None:
        self.switch_at = switch_at
        self.by_epoch = by_epoch

    def before_train_epoch(self, runner: Runner) -> None:
        """Look once per epoch."""
        if self.by_epoch and runner.epoch >= self.switch_at:
            self._turn_on(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Look at every iteration, where the schedule counts in iterations."""
        if not self.by_epoch and runner.iter >= self.switch_at:
            self._turn_on(runner)

    def _turn_on(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not model.bbox_head.use_l1:
            model.bbox_head.use_l1 = True
            runner.logger.info("L1 loss is on from epoch %d, iteration %d", runner.epoch + 1, runner.iter + 1)
