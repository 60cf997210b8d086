"""From the config group `threshold` to the objective of a search."""

from __future__ import annotations

import pytest

from vision_research.config.command_schema import ThresholdConfig, ThresholdRule
from vision_research.config.errors import ConfigError
from vision_research.evaluation.threshold import Objective, objective_of


def test_a_rule_takes_its_own_bound() -> None:
    group = ThresholdConfig(min_precision=0.8, min_recall=0.7, false_cost=2.0)
    assert objective_of(group) == Objective("max_f1", 0.0, 2.0, 1.0)
    group.rule = ThresholdRule.min_precision
    assert objective_of(group) == Objective("min_precision", 0.8, 2.0, 1.0)
    group.rule = ThresholdRule.min_recall
    assert objective_of(group) == Objective("min_recall", 0.7, 2.0, 1.0)


def test_all_values_outside_of_their_ranges_are_named_at_once() -> None:
    group = ThresholdConfig(iou=0, min_recall=1.5, nms_iou=[0.5, 2], missed_cost=-1, min_support=0, num_samples=0)
    with pytest.raises(ConfigError) as refused:
        objective_of(group)
    text = str(refused.value)
    for problem in (
        "threshold.iou=0: has to be over 0, and 1 at most. Type threshold.iou=0.5",
        "threshold.min_recall=1.5",
        "threshold.nms_iou=2: has to be over 0",
        "threshold.missed_cost=-1: has to be 0 or more",
        "threshold.min_support=0: has to be 1 or more",
        "threshold.num_samples=0: has to be 1 or more",
    ):
        assert problem in text
    assert "nms_iou=0.5:" not in text and "false_cost" not in text
