"""Early stopping that a resume does not forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS

from vision_research.engine.events import record_event

_STATE = "early_stopping"


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """MMEngine's EarlyStoppingHook, with its count in the checkpoints.

    The parent starts with full patience and no best score after every resume. `patience` counts validations; the one
    that follows the checkpoint is held again by our loops, so none is forgotten.

    Args:
        monitor: metric to watch, such as `coco/bbox_mAP`.
        rule: `greater` or `less`; None infers it from the metric's name.
        min_delta: smallest gain that counts. The parent's default, 0.1, would be ten points of mAP.
        strict: whether a missing metric is an error.
        **kwargs: `check_finite`, `patience`, `stopping_threshold` of the parent.
    """

    # Before CheckpointHook (90), so that what it saves after a validation holds the new count.
    priority = "LOW"

    def __init__(
        self, monitor: str, rule: str | None = None, min_delta: float = 0.0, strict: bool = True, **kwargs: Any
    ) -> None:
        # With 0 the parent takes the same value again for a gain, and a run that learns nothing never ends.
        super().__init__(monitor, rule=rule, min_delta=min_delta or 1e-9, strict=strict, **kwargs)

    def before_train(self, runner: Any) -> None:
        """Take up the count of a resumed run."""
        state = runner.message_hub.get_info(_STATE)
        if state is not None:
            self.wait_count, self.best_score = state["wait_count"], state["best_score"]

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        """Decide whether to stop."""
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(_STATE, {"wait_count": self.wait_count, "best_score": float(self.best_score)})
        if runner.train_loop.stop_training:
            event = {
                "epoch": runner.epoch,
                "iter": runner.iter,
                "monitor": self.monitor,
                "best": float(self.best_score),
            }
            record_event(Path(runner.work_dir), "early_stopping", **event)
