"""Searches the thresholds of all classes of a detector, and measures them on other images, with confidence intervals.

Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vision_research.evaluation.matching import Floats, Matches, pool
from vision_research.evaluation.threshold import Counts, Objective, choose, count, curve_of

# Share of the samples inside of an interval.
_CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of one class.

    Attributes:
        name: name of the class.
        threshold: detections of this score or more are kept.
        support: number of objects that it was searched on.
        num_detections: number of detections that it was searched on.
        note: why it is the common threshold, or that the bound of the rule was not reached; else empty.
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
        common: one threshold for all classes.
        note: says if the common threshold does not reach the bound of the rule; else empty.
        classes: the threshold of each class, in the order of the labels.
    """

    common: float
    note: str
    classes: tuple[ClassThreshold, ...]


@dataclass(frozen=True)
class Measurement:
    """Precision, recall and F1 of a class, or of all classes, at chosen thresholds.

    Attributes:
        name: name of the class, or `all`.
        threshold: threshold of the class; NaN for all classes together.
        support: number of objects to find.
        counts: numbers of right, wrong and missing detections.
        intervals: confidence intervals of `precision`, `recall` and `f1`.
    """

    name: str
    threshold: float
    support: int
    counts: Counts
    intervals: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file; undefined values are null."""
        values = {name: _known(getattr(self.counts, name)) for name in ("precision", "recall", "f1")}
        ends = {f"{name}_interval": [_known(end) for end in pair] for name, pair in self.intervals.items()}
        return {"support": self.support, **asdict(self.counts), **values, **ends}


def search(
    names: Sequence[str], matches: Sequence[Matches], objective: Objective, min_support: int
) -> ThresholdSet | None:
    """Choose a threshold for each class, and one for all; None without any detections, or without any objects.

    Args:
        names: names of the classes.
        matches: matches of each class, in the same order.
        objective: the rule.
        min_support: a class with fewer objects takes the common threshold.
    """
    common = choose(curve_of(pool(list(matches))), objective)
    if common is None:
        return None
    classes = tuple(
        _of_class(name, found, objective, min_support, common.threshold)
        for name, found in zip(names, matches, strict=True)
    )
    return ThresholdSet(common.threshold, "" if common.reached else _not_reached(objective), classes)


def measure(thresholds: ThresholdSet, matches: Sequence[Matches], num_samples: int) -> list[Measurement]:
    """Measure precision, recall and F1 at thresholds: one entry for each class, then one for all together.

    Args:
        thresholds: thresholds from `search`.
        matches: matches of each class, in the order of the labels.
        num_samples: number of data sets to draw for the intervals.
    """
    moved = []
    measured = []
    for chosen, found in zip(thresholds.classes, matches, strict=True):
        measured.append(_measurement(chosen.name, chosen.threshold, found, num_samples))
        # All thresholds are 0 after this subtraction, so that the classes can be pooled; the sign of a floating-point
        # difference is exact.
        moved.append(replace(found, scores=found.scores - chosen.threshold))
    everything = _measurement("all", 0.0, pool(moved), num_samples)
    return [*measured, replace(everything, threshold=math.nan)]


def objective_value(measured: Measurement, objective: Objective) -> float:
    """Return the value that an objective maximises, to compare settings; minus infinity if it is undefined.

    Args:
        measured: measurement with the thresholds of a setting.
        objective: the rule.
    """
    counts = measured.counts
    values = {
        "max_f1": counts.f1,
        "min_precision": counts.recall,
        "min_recall": counts.precision,
        "cost": -(objective.false_cost * counts.false + objective.missed_cost * counts.missed),
    }
    value = values[objective.rule]
    return -math.inf if math.isnan(value) else value


def _of_class(name: str, found: Matches, objective: Objective, min_support: int, common: float) -> ClassThreshold:
    size = (found.support, len(found.scores))
    if found.support < min_support:
        note = f"{found.support} of {min_support} examples: the common threshold"
        return ClassThreshold(name, common, *size, note)
    choice = choose(curve_of(found), objective)
    if choice is None:
        return ClassThreshold(name, common, *size, "no detections: the common threshold")
    return ClassThreshold(name, choice.threshold, *size, "" if choice.reached else _not_reached(objective))


def _not_reached(objective: Objective) -> str:
    return f"{objective.rule}={objective.bound:g} is not reached by any threshold"


def _measurement(name: str, threshold: float, found: Matches, num_samples: int) -> Measurement:
    ends = intervals(found, threshold, num_samples=num_samples)
    return Measurement(name, threshold, found.support, count(found, threshold), ends)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def intervals(matches: Matches, threshold: float, *, num_samples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Estimate 95 % intervals of precision, recall and F1 by drawing whole images with replacement.

    Images are drawn and not detections, because the detections of one image depend on each other.

    Args:
        matches: matches of a class, or of all classes together.
        threshold: detections of this score or more are kept.
        num_samples: number of data sets to draw.
        seed: seed of the random draws.

    Returns:
        `precision`, `recall` and `f1`: lower and upper end; NaN where no sample has a value.
    """
    counts = per_image(matches, threshold)
    num_images = len(counts)
    draws = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), num_samples)
    found, false, truths = (draws @ counts).T.astype(np.float64)
    values = {
        "precision": _divide(found, found + false),
        "recall": _divide(found, truths),
        "f1": _divide(2 * found, found + false + truths),
    }
    return {name: _interval(sampled) for name, sampled in values.items()}


def per_image(matches: Matches, threshold: float) -> Floats:
    """Count the detections and objects of each image at a threshold.

    Args:
        matches: matches of a class, or of all classes together.
        threshold: detections of this score or more are kept.

    Returns:
        (I, 3) float64: right detections, wrong detections, objects.
    """
    given = matches.scores >= threshold
    size = len(matches.num_truths)
    found = np.bincount(matches.images[given & matches.is_true], minlength=size)
    false = np.bincount(matches.images[given & ~matches.is_true], minlength=size)
    return np.stack([found, false, matches.num_truths], axis=1).astype(np.float64)


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _interval(values: Floats) -> Interval:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)
