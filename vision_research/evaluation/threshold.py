"""Searches the score threshold of a class. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vision_research.config.command_schema import ThresholdConfig
from vision_research.config.errors import ConfigError
from vision_research.evaluation.matching import Floats, Ints, Matches

Rule = Literal["max_f1", "min_precision", "min_recall", "cost"]


@dataclass(frozen=True)
class Objective:
    """The rule by which a threshold is chosen.

    Attributes:
        rule: `max_f1`; `min_precision`: the highest recall with at least `bound` precision; `min_recall`: the highest
            precision with at least `bound` recall; `cost`: the least sum of costs.
        bound: least precision or recall, for the rules `min_precision` and `min_recall`.
        false_cost: cost of a false detection, for the rule `cost`.
        missed_cost: cost of an object that is not found, for the rule `cost`.
    """

    rule: Rule = "max_f1"
    bound: float = 0.0
    false_cost: float = 1.0
    missed_cost: float = 1.0


def objective_of(group: ThresholdConfig) -> Objective:
    """Return the objective of the group `threshold`; `ConfigError` with all values outside of their ranges."""
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


@dataclass(frozen=True)
class Counts:
    """Numbers of detections and objects at a threshold.

    Attributes:
        found: right detections.
        false: wrong detections.
        missed: objects that were not found.
    """

    found: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN without detections."""
        return _ratio(self.found, self.found + self.false)

    @property
    def recall(self) -> float:
        """Share of the objects that are found; NaN without objects."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN with neither detections nor objects."""
        return _ratio(2 * self.found, 2 * self.found + self.false + self.missed)


@dataclass(frozen=True)
class Curve:
    """Numbers of detections at every threshold that makes a difference, from the highest score down.

    Attributes:
        scores: (K,) float64, falling: every score that occurs, once.
        found: (K,) int64: right detections of that score or more.
        false: (K,) int64: wrong detections of that score or more.
        support: number of objects to find.
    """

    scores: Floats
    found: Ints
    false: Ints
    support: int

    @property
    def precision(self) -> Floats:
        """Precision at each score, (K,)."""
        precision: Floats = self.found / np.maximum(self.found + self.false, 1)
        return precision

    @property
    def recall(self) -> Floats:
        """Recall at each score, (K,); 0 without objects."""
        return self.found / max(self.support, 1)

    @property
    def f1(self) -> Floats:
        """F1 at each score, (K,)."""
        f1: Floats = 2 * self.found / np.maximum(self.found + self.false + self.support, 1)
        return f1


@dataclass(frozen=True)
class Choice:
    """A chosen threshold.

    Attributes:
        threshold: detections of this score or more are kept.
        reached: whether the bound of the rule was reached; if not, this threshold comes nearest to it.
    """

    threshold: float
    reached: bool = True


def curve_of(matches: Matches) -> Curve:
    """Count at every score that occurs; detections of equal score are kept together or not at all."""
    order = np.argsort(-matches.scores, kind="stable")
    scores, is_true = matches.scores[order], matches.is_true[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.int64)
    found = np.cumsum(is_true, dtype=np.int64)[last]
    return Curve(scores[last], found, last + 1 - found, matches.support)


def choose(curve: Curve, objective: Objective) -> Choice | None:
    """Choose a threshold; of equally good ones the highest, which keeps the fewest detections.

    Args:
        curve: curve of a class, or of all classes together.
        objective: the rule.

    Returns:
        The choice; None without detections or without objects, where no threshold is better than another.
    """
    if not len(curve.scores) or curve.support == 0:
        return None
    return _RULES[objective.rule](curve, objective)


def count(matches: Matches, threshold: float) -> Counts:
    """Count detections and objects at a threshold.

    Args:
        matches: matches of a class, or of all classes together.
        threshold: detections of this score or more are kept.
    """
    given = matches.scores >= threshold
    found = int((given & matches.is_true).sum())
    return Counts(found, int(given.sum()) - found, matches.support - found)


def _bounded(curve: Curve, bounded: Floats, maximised: Floats, bound: float) -> Choice:
    """Maximise one value where another reaches its bound, or else that other value."""
    enough = bounded >= bound
    if not enough.any():
        return Choice(_at(curve, int(bounded.argmax())), reached=False)
    return Choice(_at(curve, int(np.where(enough, maximised, -1).argmax())))


def _cost(curve: Curve, objective: Objective) -> Choice:
    costs = objective.false_cost * curve.false + objective.missed_cost * (curve.support - curve.found)
    if objective.missed_cost * curve.support <= costs.min():
        return Choice(float(np.nextafter(curve.scores[0], np.inf)))  # keeping nothing costs least
    return Choice(_at(curve, int(costs.argmin())))


_RULES: dict[str, Callable[[Curve, Objective], Choice]] = {
    "max_f1": lambda curve, objective: Choice(_at(curve, int(curve.f1.argmax()))),
    "min_precision": lambda curve, objective: _bounded(curve, curve.precision, curve.recall, objective.bound),
    "min_recall": lambda curve, objective: _bounded(curve, curve.recall, curve.precision, objective.bound),
    "cost": _cost,
}


def _at(curve: Curve, index: int) -> float:
    """Return the threshold half-way between the score at `index` and the next lower one, if there is one."""
    score = float(curve.scores[index])
    if index + 1 == len(curve.scores):
        return score
    middle = (score + float(curve.scores[index + 1])) / 2
    return middle if middle > curve.scores[index + 1] else score


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
