"""The thresholds of all classes of a detector: searched on one set of images, measured on another. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vision_research.evaluation.bootstrap import Interval, intervals
from vision_research.evaluation.matching import Matches, pool
from vision_research.evaluation.threshold import Counts, Wanted, choose, count, curve_of


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of one class.

    Attributes:
        name: of the class.
        threshold: detections of this score or more are given out.
        support: objects that it was searched on.
        num_detections: detections that it was searched on.
        note: why it is the global one, or that the bound of the rule was not reached; else empty.
    """

    name: str
    threshold: float
    support: int
    num_detections: int
    note: str = ""


@dataclass(frozen=True)
class ThresholdSet:
    """The thresholds of a detector.

    Attributes:
        common: the one for all classes.
        note: that the bound of the rule was not reached by it; else empty.
        classes: one for each class, in the order of the labels.
    """

    common: float
    note: str
    classes: tuple[ClassThreshold, ...]


@dataclass(frozen=True)
class Measured:
    """What thresholds do on images that they were not searched on.

    Attributes:
        name: of the class, or `all`.
        threshold: of the class; NaN for all together.
        support: objects to find.
        counts: what was found, what not.
        intervals: of precision, recall and F1, over images drawn again.
    """

    name: str
    threshold: float
    support: int
    counts: Counts
    intervals: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return what is written to a file; what is not defined is null."""
        values = {name: _known(getattr(self.counts, name)) for name in ("precision", "recall", "f1")}
        ends = {f"{name}_interval": [_known(end) for end in pair] for name, pair in self.intervals.items()}
        return {"support": self.support, **asdict(self.counts), **values, **ends}


def search(names: Sequence[str], matches: Sequence[Matches], wanted: Wanted, min_support: int) -> ThresholdSet | None:
    """Choose a threshold for each class, and one for all.

    Args:
        names: of the classes.
        matches: of each class, in that order.
        wanted: the rule.
        min_support: a class with fewer objects takes the common threshold.

    Returns:
        The thresholds; None where there are no detections or no objects at all.
    """
    common = choose(curve_of(pool(list(matches))), wanted)
    if common is None:
        return None
    classes = tuple(
        _of_class(name, found, wanted, min_support, common.threshold)
        for name, found in zip(names, matches, strict=True)
    )
    return ThresholdSet(common.threshold, "" if common.reached else _not_reached(wanted), classes)


def measure(thresholds: ThresholdSet, matches: Sequence[Matches], num_samples: int, seed: int = 0) -> list[Measured]:
    """Measure what thresholds do.

    Args:
        thresholds: as `search` chose them.
        matches: of each class, in the order of the labels.
        num_samples: draws for the intervals.
        seed: of the draws.

    Returns:
        One entry a class, and one for all together.
    """
    moved = []
    measured = []
    for chosen, found in zip(thresholds.classes, matches, strict=True):
        measured.append(_measured(chosen.name, chosen.threshold, found, num_samples, seed))
        # The sign of a floating-point difference is exact: these thresholds are all 0 now, and can be pooled.
        moved.append(replace(found, scores=found.scores - chosen.threshold))
    everything = _measured("all", 0.0, pool(moved), num_samples, seed)
    return [*measured, replace(everything, threshold=math.nan)]


def objective(measured: Measured, wanted: Wanted) -> float:
    """What a rule makes as large as it can, to compare settings of the detector by."""
    counts = measured.counts
    values = {
        "max_f1": counts.f1,
        "min_precision": counts.recall,
        "min_recall": counts.precision,
        "cost": -(wanted.false_cost * counts.false + wanted.missed_cost * counts.missed),
    }
    value = values[wanted.rule]
    return -math.inf if math.isnan(value) else value


def _of_class(name: str, found: Matches, wanted: Wanted, min_support: int, common: float) -> ClassThreshold:
    size = (found.support, len(found.scores))
    if found.support < min_support:
        note = f"{found.support} of {min_support} examples: the common threshold"
        return ClassThreshold(name, common, *size, note)
    choice = choose(curve_of(found), wanted)
    if choice is None:
        return ClassThreshold(name, common, *size, "no detections: the common threshold")
    return ClassThreshold(name, choice.threshold, *size, "" if choice.reached else _not_reached(wanted))


def _not_reached(wanted: Wanted) -> str:
    return f"{wanted.rule}={wanted.bound:g} is not reached by any threshold"


def _measured(name: str, threshold: float, found: Matches, num_samples: int, seed: int) -> Measured:
    ends = intervals(found, threshold, num_samples=num_samples, seed=seed)
    return Measured(name, threshold, found.support, count(found, threshold), ends)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
