"""Checks the configuration of a run by rules that types cannot express."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vision_research.config.errors import ConfigError
from vision_research.config.option_rules import data_problems
from vision_research.config.rules import group_problems
from vision_research.config.schema import SPLITS, TrainConfig
from vision_research.config.tree import kind_of
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols import LoweringInputs, RunPart, RunSpec
from vision_research.registry import FEEDS, PARTS, TASKS, make_embedded


def validate(run: RunSpec) -> None:
    """Check the configuration of a run.

    Raises:
        ConfigError: all problems, each with the key, the value, what is allowed and what to type.
    """
    # Tasks do not restrict a zoo file with its own data.
    asked: tuple[RunPart, ...] = FEEDS if run.data.uses_zoo_file else PARTS
    of_parts = [problem for part in asked for problem in part.problems(run)]
    if problems := [*of_parts, *_unfed_steps(run), *group_problems(run.config)]:
        raise ConfigError(problems)


def _unfed_steps(run: RunSpec) -> Iterator[str]:
    """Name the first step of `aug=zoo/...` that needs what the data of the run does not have."""
    aug, data = run.config.aug, run.data
    if aug.recipe is None or data.uses_zoo_file:
        return
    needs = {name: described for part in PARTS for name, described in part.needs.items()}
    fed = {name for task in TASKS for name in task.fed_steps(data)}
    fed |= {name for feed in run.feeds for name in feed.needs}
    for path, step in run.file_steps:
        name = next((name for name in needs if name not in fed and _reads(step, name)), None)
        if name is not None:
            yield (
                f"{path}.type={step['type']}: aug=zoo/{aug.recipe['zoo']} needs {needs[name]}, and "
                f"data={data.kind.value} has none. Type another aug=OPTION, or data=zoo/{aug.recipe['zoo']} for the "
                "file's own data"
            )
            return


def _reads(step: Mapping[str, object], name: str) -> bool:
    """Return whether a step has a type, or a key if the name ends in `=`."""
    return bool(step.get(name[:-1])) if name.endswith("=") else kind_of(dict(step)) == name


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
    if config.schedule.by_epoch or (config.aug.final is None and config.aug.recipe is None):
        return
    final = config.aug.final_epochs * inputs.iters_per_epoch(config.data.batch_size, config.data.repeat)
    if final >= config.schedule.length:
        raise ConfigError(
            f"aug.final_epochs={config.aug.final_epochs} are {final} iterations here, with schedule.max_iters="
            f"{config.schedule.max_iters}: the weak pipeline would begin before the training. Type aug.final_epochs=0, "
            f"or schedule.max_iters={final + 1} or more"
        )
