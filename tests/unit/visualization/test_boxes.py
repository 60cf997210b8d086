"""Detections drawn into an image."""

from __future__ import annotations

import numpy as np

from vision_research.visualization.boxes import class_colour, draw_boxes

IMAGE = np.zeros((60, 80, 3), np.uint8)


def draw(boxes: list[list[float]], labels: list[int], masks: np.ndarray | None = None) -> np.ndarray:
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return draw_boxes(IMAGE, np.array(boxes, np.float32).reshape(-1, 4), scores, np.array(labels), ["a", "b"], masks)


def test_edges_lie_where_the_box_does_in_the_colour_of_its_class() -> None:
    drawn = draw([[10, 20, 40, 50]], [1])
    assert tuple(drawn[50, 25]) == class_colour(1) and tuple(drawn[35, 40]) == class_colour(1)
    assert drawn[35, 25].tolist() == [0, 0, 0], "the inside stays"
    assert not IMAGE.any(), "the image given stays as it is"


def test_the_best_lies_on_top() -> None:
    assert tuple(draw([[10, 20, 40, 50], [10, 20, 40, 50]], [0, 1])[50, 25]) == class_colour(0)


def test_masks_are_laid_over_and_no_detection_changes_nothing() -> None:
    mask = np.zeros((1, 60, 80), bool)
    mask[0, 30, 30] = True
    drawn = draw([[10, 20, 40, 50]], [1], mask)
    assert drawn[30, 30].tolist() == [value // 2 for value in class_colour(1)]
    assert (draw([], []) == IMAGE).all()
