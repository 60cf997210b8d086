"""Matching, held against pycocotools and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision_research.evaluation.matching import Matches, Truths, match_image, overlaps, pool

NOTHING = Truths(np.zeros((0, 4)), np.zeros(0, bool))


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes on a coarse grid, so that equal overlaps and equal boxes are common."""
    corner = rng.integers(0, 6, (count, 2)) * 4.0
    return np.concatenate([corner, corner + rng.integers(1, 5, (count, 2)) * 4.0], axis=1)


def coco_judgement(
    boxes: np.ndarray, scores: np.ndarray, truths: Truths, iou_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """What pycocotools says of each detection: matched, ignored."""
    to_xywh = lambda box: [box[0], box[1], box[2] - box[0], box[3] - box[1]]  # noqa: E731
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": to_xywh(box), "area": 1, "iscrowd": int(crowd)}
        for number, (box, crowd) in enumerate(zip(truths.boxes, truths.is_crowd, strict=True), start=1)
    ]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1, "width": 99, "height": 99}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": annotations,
    }
    truth.createIndex()
    results = [
        {"image_id": 1, "category_id": 1, "bbox": to_xywh(box), "score": float(score)}
        for box, score in zip(boxes, scores, strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.iouThrs = np.array([iou_thr])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    judged = evaluation.evalImgs[0]
    is_true, is_ignored = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    numbers = np.array(judged["dtIds"], dtype=int) - 1
    is_ignored[numbers] = judged["dtIgnore"][0].astype(bool)
    is_true[numbers] = (judged["dtMatches"][0] > 0) & ~judged["dtIgnore"][0].astype(bool)
    return is_true, is_ignored


@pytest.mark.parametrize("seed", range(150))
def test_every_detection_is_judged_as_coco_judges_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, int(rng.integers(1, 12))), np.zeros(0)
    scores = rng.integers(1, 6, len(boxes)) / 8  # ties
    truths = Truths(random_boxes(rng, int(rng.integers(1, 8))), np.zeros(0, bool))
    truths = Truths(truths.boxes, rng.random(len(truths.boxes)) < 0.3)
    for iou_thr in (0.3, 0.5, 1.0):
        ours = match_image(boxes, scores, truths, iou_thr)
        theirs = coco_judgement(boxes, scores, truths, iou_thr)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("seed", range(30))
def test_what_the_better_ones_match_does_not_depend_on_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, 10), rng.permutation(10) / 10
    truths = Truths(random_boxes(rng, 6), np.zeros(6, bool))
    whole, _ = match_image(boxes, scores, truths, 0.5)
    for threshold in scores:
        kept = scores >= threshold
        part, _ = match_image(boxes[kept], scores[kept], truths, 0.5)
        np.testing.assert_array_equal(part, whole[kept])


def test_an_overlap_is_the_intersection_over_the_union() -> None:
    truths = Truths(np.array([[0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 5, 9.0]]), np.array([False, True, False]))
    found = overlaps(np.array([[5, 0, 15, 10], [3, 3, 3, 3.0]]), truths)
    np.testing.assert_allclose(found, [[1 / 3, 1 / 2, 0], [0, 0, 0]])


def test_without_objects_every_detection_is_false_and_without_detections_there_is_nothing() -> None:
    is_true, is_ignored = match_image(np.array([[0, 0, 4, 4.0]]), np.array([0.9]), NOTHING, 0.5)
    assert (is_true.tolist(), is_ignored.tolist()) == ([False], [False])
    assert match_image(np.zeros((0, 4)), np.zeros(0), NOTHING, 0.5)[0].tolist() == []


def test_classes_are_pooled_image_by_image() -> None:
    one = Matches(np.array([0.5]), np.array([True]), np.array([1]), np.array([0, 2]))
    other = Matches(np.array([0.9]), np.array([False]), np.array([0]), np.array([1, 1]))
    both = pool([one, other])
    assert (both.scores.tolist(), both.is_true.tolist(), both.images.tolist()) == ([0.5, 0.9], [True, False], [1, 0])
    assert both.num_truths.tolist() == [1, 3] and both.support == 4
