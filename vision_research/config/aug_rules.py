"""Rules of the `aug` group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vision_research.config.schema import TrainConfig
from vision_research.config.traits import traits_of
from vision_research.config.unread import has_weak_stage

# MMDetection's transforms that do not transform masks, or fail with them.
BOXES_ONLY = ("Mosaic", "MixUp", "RandomAffine", "RandomCenterCropPad")


def stage_problems(config: TrainConfig) -> Iterator[str]:
    """Name a weak stage that is as long as the training, and steps beside those of a zoo file."""
    aug, schedule = config.aug, config.schedule
    if has_weak_stage(aug) and schedule.max_epochs is not None and aug.final_epochs >= schedule.max_epochs:
        yield (
            f"aug.final_epochs={aug.final_epochs} with schedule.max_epochs={schedule.max_epochs}: the weak pipeline "
            f"would begin before the training. Type aug.final_epochs={max(schedule.max_epochs - 1, 0)} or less, or "
            f"schedule.max_epochs={aug.final_epochs + 1} or more"
        )
    if aug.recipe is not None and (aug.train or aug.final or aug.test):
        yield (
            f"aug.train, aug.final and aug.test are not read with aug=zoo/{aug.recipe['zoo']}. Change the file's own "
            "steps, for example aug.recipe.train.pipeline.2.prob=0.3, or type another aug=OPTION"
        )


def step_problems(config: TrainConfig) -> Iterator[str]:
    """Name values that are not steps, and steps that do not support masks."""
    model, has_masks = config.model.get("type"), traits_of(config).has_masks
    for stage in ("train", "final", "test"):
        named: Mapping[str, Any] = getattr(config.aug, stage) or {}
        for name, step in named.items():
            key = f"aug.{stage}.{name}"
            if step is not None and not (isinstance(step, dict) and "type" in step):
                yield f"{key}={step}: a step has a type. Type {key}.type=RandomFlip, or {key}=null"
            elif step is not None and step["type"] in BOXES_ONLY and has_masks:
                yield (
                    f"{key}.type={step['type']}: moves boxes and no masks, and model={model} is trained on masks. Type "
                    f"aug=rtmdet, or {key}=null"
                )
