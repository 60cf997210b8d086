"""Detections and annotated boxes as COCO writes them."""

from __future__ import annotations

import numpy as np

from vision_research.evaluation.coco_results import coco_annotations, coco_results, to_xywh

BOXES = np.array([[1, 2, 4, 8], [0.1, 0, 0.3, 1]], dtype=np.float32)
LABELS = np.array([0, 4])


def test_categories_count_from_one_and_boxes_have_a_width_and_a_height() -> None:
    first, second = coco_results(LABELS, np.array([0.5, 0.25]), BOXES)
    assert first == {"category_id": 1, "score": 0.5, "bbox": [1, 2, 3, 6]}
    assert (second["category_id"], second["score"]) == (5, 0.25)


def test_widths_are_computed_in_double_precision() -> None:
    left, _, width, _ = to_xywh(BOXES)[1]
    assert width == float(np.float32(0.3)) - float(np.float32(0.1)) != float(np.float32(0.3) - np.float32(0.1))
    assert left == float(np.float32(0.1))


def test_masks_to_score_have_no_box_that_would_give_their_area() -> None:
    run_lengths = {"size": [1, 2], "counts": "11"}
    assert coco_results(LABELS[:1], np.array([0.5]), segmentations=[run_lengths]) == [
        {"category_id": 1, "score": 0.5, "segmentation": run_lengths}
    ]


def test_annotations_have_the_area_of_their_box() -> None:
    assert coco_annotations(LABELS[:1], BOXES[:1], np.array([True])) == [
        {"category_id": 1, "bbox": [1, 2, 3, 6], "area": 18, "iscrowd": 1}
    ]


def test_nothing_is_written_as_nothing() -> None:
    assert coco_results(np.zeros(0, int), np.zeros(0), np.zeros((0, 4)), []) == []
