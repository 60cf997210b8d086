"""Switches a data set to the pipeline of the second stage, as the hooks of a training do."""

from __future__ import annotations

from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.config.tree import kind_of
from vision_research.engine.hooks.pipeline_stage import switch_pipelines


def switch_to_second_stage(dataset: Any, config: dict[str, Any]) -> None:
    """Switch a data set to the pipeline of the second stage.

    Args:
        dataset: a built data set, changed in place.
        config: the lowered config, whose hooks define the second stage.

    Raises:
        ConfigError: the training has only one stage.
    """
    hooks = {kind_of(hook): hook for hook in config["custom_hooks"]}
    if "YOLOXModeSwitchHook" in hooks:
        skipped = hooks["YOLOXModeSwitchHook"].get("skip_type_keys", ("Mosaic", "RandomAffine", "MixUp"))
        dataset.update_skip_type_keys(skipped)
    elif "PipelineSwitchHook" in hooks:
        switch_pipelines(dataset, hooks["PipelineSwitchHook"]["switch_pipeline"])
    elif "PipelineStageHook" in hooks:
        switch_pipelines(dataset, hooks["PipelineStageHook"]["pipeline"])
    else:
        raise ConfigError(
            "browse.stage=2: this training has one stage. Type browse.stage=1, or an augmentation with a weak end: "
            "aug=mosaic_mixup schedule=1x aug.final_epochs=2"
        )
