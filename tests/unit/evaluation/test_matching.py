"""Matching, held against pycocotools and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision_research.evaluation.matching import FoundBoxes, Matches, TrueBoxes, match, pool


def truths_of(boxes: np.ndarray, is_crowd: np.ndarray) -> TrueBoxes:
    return TrueBoxes(boxes, np.zeros(len(boxes), np.int64), is_crowd)


def match_image(boxes: np.ndarray, scores: np.ndarray, truths: TrueBoxes, iou_thr: float) -> Matches:
    """The matches of one image, all of one class."""
    return match([FoundBoxes(boxes, np.zeros(len(boxes), np.int64), scores)], [truths], 1, iou_thr)[0]


NOTHING = truths_of(np.zeros((0, 4)), np.zeros(0, bool))


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes on a coarse grid, so that equal overlaps and equal boxes are common."""
    corner = rng.integers(0, 6, (count, 2)) * 4.0
    return np.concatenate([corner, corner + rng.integers(1, 5, (count, 2)) * 4.0], axis=1)


def coco_matches(
    boxes: np.ndarray, scores: np.ndarray, truths: TrueBoxes, iou_thr: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What pycocotools says of each detection, best score first: its number, matched, ignored."""
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
    is_ignored = judged["dtIgnore"][0].astype(bool)
    return np.array(judged["dtIds"], dtype=int) - 1, (judged["dtMatches"][0] > 0) & ~is_ignored, is_ignored


@pytest.mark.parametrize("seed", range(150))
def test_every_detection_is_matched_as_coco_matches_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, int(rng.integers(1, 12))), np.zeros(0)
    scores = rng.integers(1, 6, len(boxes)) / 8  # ties
    true_boxes = random_boxes(rng, int(rng.integers(1, 8)))
    truths = truths_of(true_boxes, rng.random(len(true_boxes)) < 0.3)
    for iou_thr in (0.3, 0.5, 1.0):
        ours = match_image(boxes, scores, truths, iou_thr)
        numbers, is_true, is_ignored = coco_matches(boxes, scores, truths, iou_thr)
        np.testing.assert_array_equal(ours.scores, scores[numbers][~is_ignored])
        np.testing.assert_array_equal(ours.is_true, is_true[~is_ignored])
        assert ours.support == (~truths.is_crowd).sum()


@pytest.mark.parametrize("seed", range(30))
def test_what_the_better_ones_match_does_not_depend_on_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, 10), rng.permutation(10) / 10
    truths = truths_of(random_boxes(rng, 6), np.zeros(6, bool))
    whole = match_image(boxes, scores, truths, 0.5)
    for threshold in scores:
        kept = scores >= threshold
        part = match_image(boxes[kept], scores[kept], truths, 0.5)
        np.testing.assert_array_equal(part.is_true, whole.is_true[whole.scores >= threshold])


@pytest.mark.parametrize(("overlap", "is_crowd"), [(1 / 3, False), (1 / 2, True)])
def test_an_overlap_is_the_intersection_over_the_union_and_over_a_crowd_the_share_of_the_detection(
    overlap: float, is_crowd: bool
) -> None:
    truths = truths_of(np.array([[0, 0, 10, 10.0]]), np.array([is_crowd]))
    boxes, scores = np.array([[5, 0, 15, 10.0]]), np.array([0.9])
    above, below = (match_image(boxes, scores, truths, overlap + step) for step in (1e-6, -1e-6))
    assert above.is_true.tolist() == [False]
    assert below.is_true.tolist() == ([] if is_crowd else [True]), "on a crowd it is left out"


def test_what_has_no_area_overlaps_nothing() -> None:
    truths = truths_of(np.array([[0, 0, 10, 10], [5, 5, 5, 9.0]]), np.zeros(2, bool))
    boxes = np.array([[3, 3, 3, 3], [5, 5, 5, 9.0]])
    assert match_image(boxes, np.array([0.9, 0.8]), truths, 1e-6).is_true.tolist() == [False, False]


def test_without_objects_every_detection_is_false_and_without_detections_there_is_nothing() -> None:
    alone = match_image(np.array([[0, 0, 4, 4.0]]), np.array([0.9]), NOTHING, 0.5)
    assert (alone.is_true.tolist(), alone.images.tolist(), alone.support) == ([False], [0], 0)
    assert match_image(np.zeros((0, 4)), np.zeros(0), NOTHING, 0.5).is_true.tolist() == []


def test_classes_and_images_are_matched_apart() -> None:
    box = np.array([[0, 0, 4, 4.0]])
    cat, dog = np.array([0]), np.array([1])
    truths = [TrueBoxes(box, cat, np.array([False])), TrueBoxes(box, dog, np.array([False]))]
    found = [FoundBoxes(box, cat, np.array([0.5])), FoundBoxes(box, cat, np.array([0.7]))]
    cats, dogs, owls = match(found, truths, 3, 0.5)
    assert (cats.scores.tolist(), cats.is_true.tolist(), cats.images.tolist()) == ([0.5, 0.7], [True, False], [0, 1])
    assert (cats.num_truths.tolist(), dogs.num_truths.tolist(), owls.num_truths.tolist()) == ([1, 0], [0, 1], [0, 0])
    assert len(dogs.scores) == len(owls.scores) == 0


def test_classes_are_pooled_image_by_image() -> None:
    one = Matches(np.array([0.5]), np.array([True]), np.array([1]), np.array([0, 2]))
    other = Matches(np.array([0.9]), np.array([False]), np.array([0]), np.array([1, 1]))
    both = pool([one, other])
    assert (both.scores.tolist(), both.is_true.tolist(), both.images.tolist()) == ([0.5, 0.9], [True, False], [1, 0])
    assert both.num_truths.tolist() == [1, 3] and both.support == 4
