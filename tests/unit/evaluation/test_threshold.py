"""The search of a threshold, held against trying every one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Counts, Objective, choose, count, curve_of


def random_matches(seed: int, num_images: int = 5) -> Matches:
    """Matched detections with many equal scores."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 30))
    images = np.sort(rng.integers(0, num_images, size))
    is_true = rng.random(size) < 0.6
    found = np.bincount(images[is_true], minlength=num_images)
    return Matches(rng.integers(1, 12, size) / 16, is_true, images, found + rng.integers(0, 3, num_images))


def every_threshold(matches: Matches) -> list[float]:
    """One for every set of detections that some threshold gives out, none at all included."""
    return [*np.unique(matches.scores), 2.0]


def value(counts: Counts, objective: Objective) -> float:
    """What the rule makes as large as it can; minus infinity where the bound is missed."""
    precision, recall = (0.0 if math.isnan(item) else item for item in (counts.precision, counts.recall))
    if objective.rule == "max_f1":
        return counts.f1
    if objective.rule == "cost":
        return -(objective.false_cost * counts.false + objective.missed_cost * counts.missed)
    if objective.rule == "min_precision":
        return recall if precision >= objective.bound else -math.inf
    return precision if recall >= objective.bound else -math.inf


RULES = [
    Objective("max_f1"),
    Objective("min_precision", 0.7),
    Objective("min_recall", 0.5),
    Objective("cost", false_cost=1.0, missed_cost=3.0),
    Objective("cost", false_cost=5.0, missed_cost=1.0),
]


@pytest.mark.parametrize(
    "objective", RULES, ids=lambda objective: f"{objective.rule}-{objective.bound}-{objective.missed_cost}"
)
@pytest.mark.parametrize("seed", range(40))
def test_no_other_threshold_does_better(seed: int, objective: Objective) -> None:
    matches = random_matches(seed)
    choice = choose(curve_of(matches), objective)
    assert choice is not None
    best = max(value(count(matches, threshold), objective) for threshold in every_threshold(matches))
    if best == -math.inf:
        assert not choice.reached
    else:
        assert choice.reached
        assert value(count(matches, choice.threshold), objective) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(40))
def test_a_curve_counts_what_each_threshold_gives_out(seed: int) -> None:
    matches = random_matches(seed)
    curve = curve_of(matches)
    assert curve.scores.tolist() == sorted(set(matches.scores.tolist()), reverse=True)
    for index, score in enumerate(curve.scores):
        counts = count(matches, score)
        assert (counts.found, counts.false) == (curve.found[index], curve.false[index])
        assert curve.precision[index] == pytest.approx(counts.precision)
        assert curve.recall[index] == pytest.approx(counts.recall if matches.support else 0)
        assert curve.f1[index] == pytest.approx(counts.f1)


def of(scores: list[float], is_true: list[bool], support: int) -> Matches:
    size = len(scores)
    return Matches(np.array(scores), np.array(is_true, bool), np.zeros(size, np.int64), np.array([support]))


def test_detections_of_equal_score_are_given_out_together() -> None:
    choice = choose(curve_of(of([0.5, 0.5, 0.5], [True, False, False], 1)), Objective("min_precision", 0.9))
    assert choice is not None and not choice.reached, "the right one cannot be had alone"


def test_a_threshold_lies_half_way_to_the_next_lower_score() -> None:
    matches = of([0.9, 0.7, 0.3], [True, True, False], 2)
    choice = choose(curve_of(matches), Objective())
    assert choice is not None and choice.threshold == pytest.approx(0.5)
    lowest = choose(curve_of(of([0.9, 0.7], [True, True], 2)), Objective())
    assert lowest is not None and lowest.threshold == 0.7, "below the lowest nothing is known"


def test_neighbouring_scores_leave_no_room_between_them() -> None:
    low = np.nextafter(0.5, 1)
    choice = choose(curve_of(of([np.nextafter(low, 1), low], [True, False], 1)), Objective())
    assert choice is not None and low < choice.threshold <= np.nextafter(low, 1)


def test_of_equally_good_thresholds_the_highest_is_taken() -> None:
    choice = choose(curve_of(of([0.9, 0.5, 0.1], [True, True, True], 3)), Objective("min_recall", 1 / 3))
    assert choice is not None and choice.threshold == pytest.approx(0.7)


def test_where_giving_out_nothing_costs_least_nothing_is_given_out() -> None:
    matches = of([0.9, 0.8], [False, False], 1)
    choice = choose(curve_of(matches), Objective("cost"))
    assert choice is not None and count(matches, choice.threshold) == Counts(0, 0, 1)
    assert choice.threshold == np.nextafter(0.9, 1)


def test_without_detections_or_objects_no_threshold_is_better_than_another() -> None:
    assert choose(curve_of(of([], [], 3)), Objective()) is None
    assert choose(curve_of(of([0.5], [False], 0)), Objective()) is None
    assert math.isnan(Counts(0, 0, 3).precision) and math.isnan(Counts(0, 3, 0).recall)
    assert Counts(0, 0, 3).recall == 0.0 and math.isnan(Counts(0, 0, 0).f1)
