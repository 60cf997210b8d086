"""The thresholds of all classes together, and how sure what they do is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Counts, Objective, count
from vision_research.evaluation.threshold_set import intervals, measure, objective_value, per_image, search


def matches_of(seed: int, num_images: int, share: float = 0.8) -> Matches:
    rng = np.random.default_rng(seed)
    images = np.arange(num_images)
    is_true = rng.random(num_images) < share
    scores = np.where(is_true, rng.uniform(0.4, 1, num_images), rng.uniform(0, 0.6, num_images))
    return Matches(scores, is_true, images, np.ones(num_images, dtype=np.int64))


def empty(num_images: int, support: int) -> Matches:
    truths = np.zeros(num_images, dtype=np.int64)
    truths[0] = support
    return Matches(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64), truths)


def test_a_class_with_too_few_examples_takes_the_common_threshold_and_says_so() -> None:
    often, seldom, never, unfound = matches_of(0, 40), matches_of(1, 40), empty(40, 0), empty(40, 20)
    seldom = Matches(seldom.scores[:3], seldom.is_true[:3], seldom.images[:3], (np.arange(40) < 3).astype(np.int64))
    found = search(
        ["often", "seldom", "never", "unfound"], [often, seldom, never, unfound], Objective(), min_support=10
    )
    assert found is not None
    by_name = {chosen.name: chosen for chosen in found.classes}
    assert by_name["often"].note == "" and by_name["often"].support == 40
    assert by_name["seldom"].note == "3 of 10 examples: the common threshold"
    assert by_name["never"].note == "0 of 10 examples: the common threshold"
    assert by_name["unfound"].note == "no detections: the common threshold"
    assert {by_name[name].threshold for name in ("seldom", "never", "unfound")} == {found.common}


def test_a_bound_that_no_threshold_reaches_is_said() -> None:
    wrong = Matches(np.array([0.9, 0.5]), np.array([False, True]), np.array([0, 0]), np.array([2]))
    found = search(["x"], [wrong], Objective("min_precision", 0.9), min_support=1)
    assert found is not None
    assert found.classes[0].note == found.note == "min_precision=0.9 is not reached by any threshold"


def test_nothing_to_choose_from_is_none() -> None:
    assert search(["x"], [empty(3, 2)], Objective(), 1) is None


def test_all_classes_together_are_counted_each_at_its_own_threshold() -> None:
    classes = [matches_of(2, 50), matches_of(3, 50, share=0.4)]
    found = search(["a", "b"], classes, Objective(), min_support=1)
    assert found is not None
    a, b, both = measure(found, classes, num_samples=50)
    assert both.name == "all" and math.isnan(both.threshold)
    assert both.counts == Counts(
        *(getattr(a.counts, key) + getattr(b.counts, key) for key in ("found", "false", "missed"))
    )
    assert objective_value(both, Objective()) == both.counts.f1
    assert objective_value(both, Objective("cost", missed_cost=2)) == -(both.counts.false + 2 * both.counts.missed)
    assert both.to_json()["precision_interval"] == list(both.intervals["precision"])


def test_counts_of_images_add_up_to_those_of_the_data_set() -> None:
    matches = matches_of(4, 30)
    counts = count(matches, 0.5)
    assert per_image(matches, 0.5).sum(axis=0).tolist() == [counts.found, counts.false, matches.support]


def test_an_interval_is_what_a_plain_bootstrap_gives() -> None:
    matches = matches_of(5, 60)
    ours = intervals(matches, 0.5, num_samples=4000, seed=1)
    rng = np.random.default_rng(9)
    table, precision, recall = per_image(matches, 0.5), [], []
    for _ in range(4000):
        found, false, truths = table[rng.integers(0, 60, 60)].sum(axis=0)
        precision.append(found / (found + false))
        recall.append(found / truths)
    one_image = 1 / 60 + 1e-9
    assert ours["precision"] == pytest.approx(np.quantile(precision, [0.025, 0.975]), abs=one_image)
    assert ours["recall"] == pytest.approx(np.quantile(recall, [0.025, 0.975]), abs=one_image)
    assert ours == intervals(matches, 0.5, num_samples=4000, seed=1), "the same seed gives the same"


@pytest.mark.slow
def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    held = 0
    for seed in range(200):
        low, high = intervals(matches_of(seed, 100), 0.0, num_samples=300, seed=seed)["recall"]
        held += low <= 0.8 <= high
    assert 180 <= held <= 199


def test_where_nothing_is_defined_there_is_no_interval() -> None:
    ends = intervals(empty(5, 0), 0.5, num_samples=20)
    assert all(math.isnan(end) for pair in ends.values() for end in pair)
    assert intervals(empty(5, 4), 0.5, num_samples=200)["recall"] == (0.0, 0.0)
