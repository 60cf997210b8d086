"""Turns the config group `threshold` into the objective of a threshold search."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.command_schema import ThresholdConfig
from vision_research.config.errors import ConfigError
from vision_research.evaluation.threshold import Objective, Rule


def objective_of(group: ThresholdConfig) -> Objective:
    """Check the values of the group `threshold` and return its objective.

    Raises:
        ConfigError: values outside of their ranges; all of them at once.
    """
    if problems := list(_problems(group)):
        raise ConfigError(problems)
    rule: Rule = group.rule.value
    bound = {"min_precision": group.min_precision, "min_recall": group.min_recall}.get(rule, 0.0)
    return Objective(rule, bound, group.false_cost, group.missed_cost)


def _problems(group: ThresholdConfig) -> Iterator[str]:
    shares = [(key, getattr(group, key)) for key in ("iou", "min_precision", "min_recall")]
    for key, value in [*shares, *(("nms_iou", value) for value in group.nms_iou or [])]:
        if not 0 < value <= 1:
            yield f"threshold.{key}={value}: has to be over 0, and 1 at most. Type threshold.{key}=0.5"
    for key in ("false_cost", "missed_cost"):
        if getattr(group, key) < 0:
            yield f"threshold.{key}={getattr(group, key)}: has to be 0 or more"
    for key in ("min_support", "num_samples"):
        if getattr(group, key) < 1:
            yield f"threshold.{key}={getattr(group, key)}: has to be 1 or more"
