"""Stops a training whose loss is NaN or infinite, before it saves the weights that result from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from vision_research.config.errors import UserError
from vision_research.engine.hook_arguments import data_samples, detector_of


class NonFiniteLossError(UserError):
    """A loss was NaN or infinite; iteration and epoch in the message count from 1.

    Attributes:
        image_names: paths of the images in the batch.
    """

    def __init__(self, iteration: int, epoch: int, losses: dict[str, float], image_names: list[str]) -> None:
        self.image_names = image_names
        terms = ", ".join(f"{name}={value:g}" for name, value in losses.items())
        images = "\n  ".join(image_names) or "(the batch does not say)"
        super().__init__(
            f"The loss is not finite at iteration {iteration} (epoch {epoch}, rank {get_rank()}): {terms}\n"
            f"Images of that batch:\n  {images}\n"
            "Nothing was saved after it. Look at those images and their boxes first; else lower schedule.lr, clip "
            "gradients (schedule.clip_grad=10), or train with hw.precision=fp32."
        )


class NonFiniteWeightsError(UserError):
    """A checkpoint was about to be written with weights that are NaN or infinite."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Check the loss of every iteration, and the weights of every checkpoint.

    `RuntimeInfoHook` (VERY_HIGH) has already copied the loss to the host for the log; reading that copy costs nothing.
    A rank knows its own loss only. If the loss of another rank is NaN, the weights of this rank are NaN as well after
    the step, and it may save a checkpoint before the other one fails.
    """

    # After RuntimeInfoHook (10), before EMAHook (49), the log (60) and the checkpoint (90).
    priority = "HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Check the losses of this iteration; the error names the images of the batch.

        Args:
            runner: MMEngine's runner.
            batch_idx: number of the batch in the epoch.
            data_batch: the batch.
            outputs: the logged losses by name.

        Raises:
            NonFiniteLossError: one of them is NaN or infinite.
        """
        scalars = runner.message_hub.log_scalars
        losses = {
            name: float(scalars[f"train/{name}"].current()) for name in outputs or {} if f"train/{name}" in scalars
        }
        if all(map(math.isfinite, losses.values())):
            return
        paths = [getattr(sample, "img_path", None) for sample in data_samples(data_batch)]
        images = [str(Path(path)) for path in paths if path]
        raise NonFiniteLossError(runner.iter + 1, runner.epoch + 1, losses, images)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Check the weights.

        Args:
            runner: MMEngine's runner.
            checkpoint: what will be saved.

        Raises:
            NonFiniteWeightsError: some are NaN or infinite.
        """
        # Only parameters: buffers such as attention masks may hold infinities by design.
        names = [name for name, _ in detector_of(runner).named_parameters() if name in checkpoint["state_dict"]]
        bad = [name for name in names if not checkpoint["state_dict"][name].isfinite().all()]
        if bad:
            raise NonFiniteWeightsError(
                f"{len(bad)} of {len(names)} parameters are not finite at iteration {runner.iter + 1} "
                f"(first: {bad[0]}): no checkpoint was written. Resume from the checkpoint before with a lower "
                "schedule.lr, or with schedule.clip_grad=10."
            )
