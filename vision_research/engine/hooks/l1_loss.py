"""YOLOX's last stage: an L1 loss on the boxes is added when the strong augmentation ends."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS


@HOOKS.register_module()
class L1LossHook(Hook):
    """Set `bbox_head.use_l1` from `switch_at` on.

    MMDetection's `YOLOXModeSwitchHook` does this together with a pipeline switch of its own kind, and by epoch only.

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

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Add the loss from an iteration on."""
        if not self.by_epoch and runner.iter >= self.switch_at:
            _use_l1(runner)


def _use_l1(runner: Any) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    # A tracker has its detector inside.
    head = getattr(model, "detector", model).bbox_head
    if not hasattr(head, "use_l1"):
        raise ValueError(f"{type(head).__name__} has no L1 loss to add; L1LossHook is for YOLOX")
    if not head.use_l1:
        head.use_l1 = True
        runner.logger.info("L1 loss on boxes from epoch %d, iteration %d on", runner.epoch + 1, runner.iter + 1)
