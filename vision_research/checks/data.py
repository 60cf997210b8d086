"""Checks of the data of a run: its files, and whether they suit the detector."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from vision_research.config.errors import ConfigError
from vision_research.config.model_limits import data_problems
from vision_research.config.schema import TrainConfig
from vision_research.config.splits import SPLITS
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols import LoweringInputs, RunSpec
from vision_research.registry import make_embedded

logger = logging.getLogger(__name__)


def look_at_data(run: RunSpec, splits: Sequence[str] = SPLITS) -> DatasetFacts:
    """Generate an embedded data set where the run uses one, and read the annotation files.

    Args:
        run: the run.
        splits: `train`, `val` or `test`, those to read.

    Raises:
        ConfigError: all problems of the files, each with the key and what to type.
    """
    data = run.data
    if data.kind.is_embedded:
        make_embedded(data.kind.value, Path(data.root))
    more = [files for feed in run.feeds for files in feed.splits(data)] if "train" in splits else []
    facts = run.task.look(data, splits, more)
    for warning in facts.warnings:
        logger.warning("%s", warning)
    for feed in run.feeds:
        facts = feed.look(data, facts)
    return facts


def check_data(run: RunSpec, facts: DatasetFacts) -> None:
    """Check that the files contain what the detector needs.

    Args:
        run: the run.
        facts: about its files.

    Raises:
        ConfigError: they do not, or the detector does not support such data.
    """
    if problems := [*run.task.unfit(run, facts), *data_problems(run.config, facts.classes)]:
        raise ConfigError(problems)


def check_stage_length(config: TrainConfig, inputs: LoweringInputs) -> None:
    """Check that the weak stage is shorter than a training whose length is in iterations.

    Args:
        config: the run.
        inputs: facts about the data, whose size determines the length of an epoch.

    Raises:
        ConfigError: the weak stage is not shorter.
    """
    if config.schedule.max_iters is None or (config.aug.final is None and config.aug.recipe is None):
        return
    final = config.aug.final_epochs * inputs.iters_per_epoch(config.data.batch_size, config.data.repeat)
    if final >= config.schedule.max_iters:
        raise ConfigError(
            f"aug.final_epochs={config.aug.final_epochs} are {final} iterations here, with schedule.max_iters="
            f"{config.schedule.max_iters}: the weak pipeline would begin before the training. Type aug.final_epochs=0, "
            f"or schedule.max_iters={final + 1} or more"
        )
