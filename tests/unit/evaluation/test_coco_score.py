"""hotcoco gives pycocotools' numbers: its whole precision array to the last bit."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_coco import as_masks, ellipse, make_dataset, perturb

from vision_research.evaluation.coco_score import CocoScores, IouType, score

BCCD = Path(__file__).parents[4] / "shared" / "data" / "bccd" / "annotations" / "val.json"
PROPOSAL_NUMS = [(1, 10, 100), (100, 300, 1000)]


def pycocotools_scores(
    dataset: dict[str, Any], detections: list[dict[str, Any]], iou_type: IouType, proposal_nums: tuple[int, ...]
) -> tuple[list[float], np.ndarray[Any, Any]]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(dataset)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(detections)), iou_type)
        evaluation.params.maxDets = list(proposal_nums)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return list(evaluation.stats), evaluation.eval["precision"]


def assert_equal(scores: CocoScores, expected: tuple[list[float], np.ndarray[Any, Any]]) -> None:
    stats, precision = expected
    np.testing.assert_array_equal(scores.precision, precision)
    np.testing.assert_allclose(list(scores.stats.values()), stats, rtol=0, atol=1e-12)
    for category in range(precision.shape[2]):
        valid = precision[:, :, category, 0, -1]
        valid = valid[valid > -1]
        wanted = valid.mean() if valid.size else np.nan
        np.testing.assert_allclose(scores.mean_precision(category), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("proposal_nums", PROPOSAL_NUMS)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_score_as_pycocotools_says(seed: int, proposal_nums: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=3)
    expected = pycocotools_scores(dataset, detections, "bbox", proposal_nums)

    scores = score(dataset, detections, "bbox", proposal_nums=proposal_nums)

    assert 0.05 < scores.stats["mAP"] < 0.9
    assert_equal(scores, expected)


@pytest.mark.parametrize("proposal_nums", PROPOSAL_NUMS)
def test_more_detections_than_count_score_as_pycocotools_says(proposal_nums: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    dataset = make_dataset(rng, num_images=4, num_classes=2)
    detections = perturb(rng, dataset, num_noise=400)
    expected = pycocotools_scores(dataset, detections, "bbox", proposal_nums)

    scores = score(dataset, detections, "bbox", proposal_nums=proposal_nums)

    first, second, third = (scores.stats[f"AR@{number}"] for number in proposal_nums)
    assert first < second <= third
    assert_equal(scores, expected)


@pytest.mark.parametrize("seed", range(2))
def test_masks_score_as_pycocotools_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng, num_images=10)
    detections = as_masks(perturb(rng, dataset, num_noise=2))
    for annotation in dataset["annotations"]:
        annotation["segmentation"] = ellipse(annotation["bbox"])
        if not annotation["iscrowd"] and annotation["id"] % 2:
            left, top, width, height = annotation["bbox"]
            annotation["segmentation"] = [[left, top, left + width, top, left + width / 2, top + height]]
    expected = pycocotools_scores(dataset, detections, "segm", (100, 300, 1000))

    scores = score(dataset, detections, "segm", proposal_nums=(100, 300, 1000))

    assert 0.02 < scores.stats["mAP"] < 0.9
    assert_equal(scores, expected)


@pytest.mark.skipif(not BCCD.exists(), reason="needs the blood cell images beside the checkout")
def test_blood_cells_score_as_pycocotools_says() -> None:
    dataset = json.loads(BCCD.read_text())
    for number, annotation in enumerate(dataset["annotations"], start=1):
        annotation["id"] = number
    detections = perturb(np.random.default_rng(0), dataset, num_noise=5)
    expected = pycocotools_scores(dataset, detections, "bbox", (100, 300, 1000))

    scores = score(dataset, detections, "bbox", proposal_nums=(100, 300, 1000))

    assert_equal(scores, expected)


def test_stats_are_named_by_the_numbers_of_detections() -> None:
    dataset = make_dataset(np.random.default_rng(0), num_images=2)

    scores = score(dataset, [], "bbox", proposal_nums=(300, 10))

    names = [
        "mAP",
        "mAP_50",
        "mAP_75",
        "mAP_s",
        "mAP_m",
        "mAP_l",
        "AR@10",
        "AR@300",
        "AR_s@300",
        "AR_m@300",
        "AR_l@300",
    ]
    assert list(scores.stats) == names


def test_no_detection_at_all_scores_zero() -> None:
    scores = score(make_dataset(np.random.default_rng(0)), [], "bbox")

    assert scores.stats["mAP"] == 0
    assert scores.mean_precision(0) == 0


def test_a_class_without_ground_truth_has_no_score() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng)

    scores = score(dataset, perturb(rng, dataset, num_noise=1), "bbox")

    assert np.isnan(scores.mean_precision(3))


def test_keys_that_are_not_scored_may_hold_anything() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=1)
    expected = score(dataset, detections, "bbox").stats
    for image in dataset["images"]:
        image |= {"file_name": None, "license": "x"}
    for annotation in dataset["annotations"]:
        annotation |= {"segmentation": {}, "attributes": None}

    assert score(dataset, detections, "bbox").stats == expected


def test_detections_and_ground_truth_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=1)
    before = copy.deepcopy((dataset, detections))

    score(dataset, detections, "bbox")

    assert (dataset, detections) == before


@pytest.mark.parametrize("num_threads", ["1", "3"])
def test_scores_do_not_depend_on_the_number_of_threads(num_threads: str) -> None:
    rng = np.random.default_rng(3)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=20)
    program = (
        "import json, sys; from vision_research.evaluation.coco_score import score; "
        "print(json.dumps(score(*json.load(sys.stdin), 'bbox').stats))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([dataset, detections]),
        env={**os.environ, "RAYON_NUM_THREADS": num_threads},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout

    assert json.loads(printed) == score(dataset, detections, "bbox").stats


def test_one_iou_threshold_can_be_asked_for() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=1)
    all_thresholds = score(dataset, copy.deepcopy(detections), "bbox")

    scores = score(dataset, detections, "bbox", iou_thrs=[0.5])

    assert scores.precision.shape[0] == 1
    assert scores.stats["mAP"] == pytest.approx(all_thresholds.stats["mAP_50"], abs=1e-12)
