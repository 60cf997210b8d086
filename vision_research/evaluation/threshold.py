"""Searches the score threshold of a class: which detections to give out.

Pure functions. A detection is given out when it scores as much as the threshold or more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vision_research.evaluation.matching import Floats, Ints, Matches

Rule = Literal["max_f1", "min_precision", "min_recall", "cost"]


@dataclass(frozen=True)
class Wanted:
    """What a threshold is chosen for.

    Attributes:
        rule: `max_f1`; `min_precision` is the highest recall with at least `bound` precision; `min_recall` the highest
            precision with at least `bound` recall; `cost` the least sum of costs.
        bound: of the precision or the recall.
        false_cost: of a detection that is none.
        missed_cost: of an object that is not found.
    """

    rule: Rule = "max_f1"
    bound: float = 0.0
    false_cost: float = 1.0
    missed_cost: float = 1.0


@dataclass(frozen=True)
class Counts:
    """What a threshold does, in numbers of detections and objects.

    Attributes:
        found: detections that are right.
        false: detections that are not.
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
        """Harmonic mean of both; NaN with neither detections nor objects."""
        return _ratio(2 * self.found, 2 * self.found + self.false + self.missed)


@dataclass(frozen=True)
class Curve:
    """What every threshold does that makes a difference, from the highest score down.

    Attributes:
        scores: (K,) float64, falling: every score that occurs, once.
        found: (K,) int64: right detections of that score or more.
        false: (K,) int64: wrong ones.
        support: objects to find.
    """

    scores: Floats
    found: Ints
    false: Ints
    support: int

    @property
    def precision(self) -> Floats:
        """Precision at each score, (K,)."""
        return _shares(self.found, np.maximum(self.found + self.false, 1))

    @property
    def recall(self) -> Floats:
        """Recall at each score, (K,); 0 without objects."""
        return _shares(self.found, np.full(len(self.found), max(self.support, 1)))

    @property
    def f1(self) -> Floats:
        """F1 at each score, (K,)."""
        return _shares(2 * self.found, np.maximum(self.found + self.false + self.support, 1))


@dataclass(frozen=True)
class Choice:
    """A threshold that was found.

    Attributes:
        threshold: detections of this score or more are given out.
        reached: whether the bound of the rule was reached; else the threshold that came nearest to it.
    """

    threshold: float
    reached: bool = True


def curve_of(matches: Matches) -> Curve:
    """Count for every score that occurs; detections of equal score are given out together or not at all."""
    order = np.argsort(-matches.scores, kind="stable")
    scores, is_true = matches.scores[order], matches.is_true[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.int64)
    found = np.cumsum(is_true, dtype=np.int64)[last]
    return Curve(scores[last], found, last + 1 - found, matches.support)


def choose(curve: Curve, wanted: Wanted) -> Choice | None:
    """Choose a threshold.

    Of equally good ones the highest is taken, which gives out least.

    Args:
        curve: of a class, or of all together.
        wanted: the rule.

    Returns:
        The choice; None without detections or without objects, when no threshold is better than another.
    """
    if not len(curve.scores) or curve.support == 0:
        return None
    return _RULES[wanted.rule](curve, wanted)


def count(matches: Matches, threshold: float) -> Counts:
    """Count what a threshold does."""
    given = matches.scores >= threshold
    found = int((given & matches.is_true).sum())
    return Counts(found, int(given.sum()) - found, matches.support - found)


def _max_f1(curve: Curve, wanted: Wanted) -> Choice:
    return Choice(_at(curve, int(curve.f1.argmax())))


def _min_precision(curve: Curve, wanted: Wanted) -> Choice:
    enough = curve.precision >= wanted.bound
    if not enough.any():
        return Choice(_at(curve, int(curve.precision.argmax())), reached=False)
    return Choice(_at(curve, int(np.where(enough, curve.recall, -1).argmax())))


def _min_recall(curve: Curve, wanted: Wanted) -> Choice:
    enough = curve.recall >= wanted.bound
    if not enough.any():
        return Choice(_at(curve, int(curve.recall.argmax())), reached=False)
    return Choice(_at(curve, int(np.where(enough, curve.precision, -1).argmax())))


def _cost(curve: Curve, wanted: Wanted) -> Choice:
    costs = wanted.false_cost * curve.false + wanted.missed_cost * (curve.support - curve.found)
    if wanted.missed_cost * curve.support <= costs.min():
        return Choice(float(np.nextafter(curve.scores[0], np.inf)))  # giving out nothing costs least
    return Choice(_at(curve, int(costs.argmin())))


_RULES: dict[str, Callable[[Curve, Wanted], Choice]] = {
    "max_f1": _max_f1,
    "min_precision": _min_precision,
    "min_recall": _min_recall,
    "cost": _cost,
}


def _at(curve: Curve, index: int) -> float:
    """Put a threshold half-way to the next lower score, so that another arithmetic's last bits decide nothing.

    Below the lowest score nothing is known; there it is that score.
    """
    score = float(curve.scores[index])
    if index + 1 == len(curve.scores):
        return score
    middle = (score + float(curve.scores[index + 1])) / 2
    return middle if middle > curve.scores[index + 1] else score


def _shares(parts: Ints, wholes: Ints) -> Floats:
    return parts.astype(np.float64) / wholes


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
