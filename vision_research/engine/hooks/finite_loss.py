"""Stops a training whose loss is no longer a number, and keeps it from saving the weights that came of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from vision_research.config.errors import UserError
from vision_research.engine.branches import samples_of


class NonFiniteLossError(UserError):
    """A loss was NaN or infinite.

    Attributes:
        iteration: the first one with such a loss, counted from 1 as in the log.
        epoch: counted from 1.
        losses: every term of the loss as logged.
        image_names: paths of the images in the batch, as in the annotation file's folder.
    """

    def __init__(self, iteration: int, epoch: int, losses: dict[str, float], image_names: list[str]) -> None:
        self.iteration = iteration
        self.epoch = epoch
        self.losses = losses
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
    """Check the loss of every iteration, at no cost.

    `RuntimeInfoHook` (VERY_HIGH) has copied the loss to the host already, for the log; this reads that copy. Each rank
    knows its own loss only, and a rank with a finite one may reach its checkpoint before it hears of another's NaN,
    whose gradient is in its weights by then. So what is saved is checked too, once a checkpoint.
    """

    # After RuntimeInfoHook (10), before EMAHook (49), the log (60) and the checkpoint (90).
    priority = "HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Check the losses of this iteration.

        Raises:
            NonFiniteLossError: one of them is NaN or infinite.
        """
        scalars = runner.message_hub.log_scalars
        losses = {
            name: float(scalars[f"train/{name}"].current()) for name in outputs or {} if f"train/{name}" in scalars
        }
        if all(map(math.isfinite, losses.values())):
            return
        raise NonFiniteLossError(runner.iter + 1, runner.epoch + 1, losses, _image_names(data_batch))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            NonFiniteWeightsError: some are NaN or infinite.
        """
        # Parameters only: a buffer may hold infinities by design, as attention masks do.
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        names = [name for name, _ in model.named_parameters() if name in checkpoint["state_dict"]]
        bad = [name for name in names if not checkpoint["state_dict"][name].isfinite().all()]
        if bad:
            raise NonFiniteWeightsError(
                f"{len(bad)} of {len(names)} parameters are not finite at iteration {runner.iter + 1} "
                f"(first: {bad[0]}): no checkpoint was written. Go on from the one before with a lower schedule.lr, or "
                "with schedule.clip_grad=10."
            )


def _image_names(data_batch: Any) -> list[str]:
    """Return the paths that the samples carry."""
    samples = samples_of(data_batch) if isinstance(data_batch, dict) else []
    return [str(Path(path)) for sample in samples if (path := getattr(sample, "img_path", None))]
