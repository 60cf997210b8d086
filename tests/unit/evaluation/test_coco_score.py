"""faster-coco-eval gives pycocotools' numbers, to the last bit that a mean of them has."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision_research.evaluation.coco_score import CocoScores, IouType, score

BCCD = Path(__file__).parents[4] / "shared" / "data" / "bccd" / "annotations" / "val.json"
IMAGE_SIZE = 300
PROPOSAL_NUMS = [(1, 10, 100), (100, 300, 1000)]


def make_dataset(rng: np.random.Generator, num_images: int = 30, num_classes: int = 4) -> dict[str, Any]:
    """Draw boxes of every area range, some of them crowds; every fifth image is empty, the last class has no box."""
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, num_images + 1):
        for _ in range(0 if image_id % 5 == 0 else int(rng.integers(1, 12))):
            width, height = rng.uniform(4, 200, size=2)
            left, top = rng.uniform(0, IMAGE_SIZE - width), rng.uniform(0, IMAGE_SIZE - height)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.integers(1, num_classes)),
                    "bbox": [left, top, width, height],
                    "area": width * height * rng.uniform(0.5, 1),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
    return {
        "images": [{"id": number, "width": IMAGE_SIZE, "height": IMAGE_SIZE} for number in range(1, num_images + 1)],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, num_classes + 1)],
        "annotations": annotations,
    }


def perturb(rng: np.random.Generator, dataset: dict[str, Any], num_noise: int) -> list[dict[str, Any]]:
    """Detect most boxes a little wrong, some twice, some as another class; add noise; scores have ties."""
    detections = []
    categories = [category["id"] for category in dataset["categories"]]
    for annotation in dataset["annotations"]:
        for _ in range(int(rng.integers(0, 3))):
            box = np.array(annotation["bbox"]) * rng.normal(1, 0.07, size=4)
            label = annotation["category_id"] if rng.random() < 0.9 else int(rng.choice(categories))
            detections.append(make_detection(rng, annotation["image_id"], label, box))
    for image in dataset["images"]:
        for _ in range(num_noise):
            box = np.concatenate([rng.uniform(0, 200, size=2), rng.uniform(2, 150, size=2)])
            detections.append(make_detection(rng, image["id"], int(rng.choice(categories)), box))
    return detections


def make_detection(rng: np.random.Generator, image_id: int, label: int, box: np.ndarray[Any, Any]) -> dict[str, Any]:
    value = round(float(rng.random()), 2)
    return {"image_id": image_id, "category_id": label, "bbox": np.maximum(box, 0.5).tolist(), "score": value}


def as_masks(detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace boxes by the masks of ellipses in them."""
    return [
        {key: value for key, value in detection.items() if key != "bbox"} | {"segmentation": ellipse(detection["bbox"])}
        for detection in detections
    ]


def ellipse(box: list[float]) -> dict[str, Any]:
    left, top, width, height = box
    rows, columns = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] + 0.5
    inside = ((columns - left) / width - 0.5) ** 2 + ((rows - top) / height - 0.5) ** 2 <= 0.25
    run_length = mask_api.encode(np.asfortranarray(inside, dtype=np.uint8))
    return {"size": run_length["size"], "counts": run_length["counts"].decode()}


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
    np.testing.assert_allclose(scores.precision, precision, rtol=0, atol=1e-12)
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


def test_one_iou_threshold_can_be_asked_for() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng)
    detections = perturb(rng, dataset, num_noise=1)
    all_thresholds = score(dataset, copy.deepcopy(detections), "bbox")

    scores = score(dataset, detections, "bbox", iou_thrs=[0.5])

    assert scores.precision.shape[0] == 1
    assert scores.stats["mAP"] == pytest.approx(all_thresholds.stats["mAP_50"], abs=1e-12)
