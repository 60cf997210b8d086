"""Early stopping whose state survives a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS

from vision_research.engine.outcome import record_event

_STATE = "early_stopping"


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """MMEngine's EarlyStoppingHook, with its state saved in the checkpoints.

    The parent class starts with full patience and no best score after every resume. `patience` counts validations; our
    loops repeat a validation that was interrupted, so that each one is counted.

    Args:
        monitor: name of the metric, such as `coco/bbox_mAP`.
        rule: `greater` or `less`; None infers it from the metric's name.
        min_delta: smallest gain that counts; the parent's default, 0.1, would be ten points of mAP.
        strict: whether a missing metric is an error.
        **kwargs: `check_finite`, `patience`, `stopping_threshold` of the parent.
    """

    # Before CheckpointHook (90), so that a checkpoint saved after a validation holds the new state.
    priority = "LOW"

    def __init__(
        self, monitor: str, rule: str | None = None, min_delta: float = 0.0, strict: bool = True, **kwargs: Any
    ) -> None:
        # With 0 the parent counts an equal value as a gain, and a run that learns nothing never stops.
        super().__init__(monitor, rule=rule, min_delta=min_delta or 1e-9, strict=strict, **kwargs)

    def before_train(self, runner: Any) -> None:
        """Restore the state of a resumed run."""
        state = runner.message_hub.get_info(_STATE)
        if state is not None:
            self.wait_count, self.best_score = state["wait_count"], state["best_score"]

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        """Decide whether to stop.

        Args:
            runner: MMEngine's runner.
            metrics: values of the validation by name.
        """
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(_STATE, {"wait_count": self.wait_count, "best_score": float(self.best_score)})
        if runner.train_loop.stop_training:
            position = {"epoch": runner.epoch, "iter": runner.iter}
            best = {"monitor": self.monitor, "best": float(self.best_score)}
            record_event(Path(runner.work_dir), "early_stopping", **position, **best)
