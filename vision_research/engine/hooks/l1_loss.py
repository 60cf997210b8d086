"""Adds an L1 loss on the boxes when the strong augmentation ends, as YOLOX does."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from vision_research.engine.hook_arguments import detector_of


@HOOKS.register_module()
class L1LossHook(Hook):
    """Set `bbox_head.use_l1` from `switch_at` on.

    MMDetection's `YOLOXModeSwitchHook` does this by epoch only, and together with a pipeline switch of its own.

    Args:
        switch_at: epochs (or iterations) done before the loss is added.
        by_epoch: whether `switch_at` counts epochs; else iterations.
    """

    priority = "NORMAL"

    def __init__(self, switch_at: int, by_epoch: bool) -> None:
        self.switch_at = switch_at
        self.by_epoch = by_epoch

    def before_train_epoch(self, runner: Any) -> None:
        """Add the loss from an epoch on."""
        if self.by_epoch and runner.epoch >= self.switch_at:
            _use_l1(runner)

    def before_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Add the loss from an iteration on."""
        if not self.by_epoch and runner.iter >= self.switch_at:
            _use_l1(runner)


def _use_l1(runner: Any) -> None:
    model = detector_of(runner)
    # A tracker contains its detector.
    head = getattr(model, "detector", model).bbox_head
    if not hasattr(head, "use_l1"):
        raise ValueError(f"{type(head).__name__} has no L1 loss to add; L1LossHook is for YOLOX")
    if not head.use_l1:
        head.use_l1 = True
        runner.logger.info("L1 loss on boxes from epoch %d, iteration %d on", runner.epoch + 1, runner.iter + 1)
