"""The pictures of a threshold search."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_research.evaluation.threshold import Curve
from vision_research.visualization.threshold_output import draw_curves, draw_summary

CURVE = Curve(np.array([0.9, 0.5, 0.1]), np.array([1, 2, 2]), np.array([0, 0, 3]), 4)
EMPTY = Curve(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), 0)


def picture(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


@pytest.mark.slow
def test_a_class_is_drawn_and_its_threshold_moves_the_picture(tmp_path: Path) -> None:
    draw_curves(tmp_path / "a.png", "ring", CURVE, 0.3)
    draw_curves(tmp_path / "b.png", "ring", CURVE, 0.7)
    assert picture(tmp_path / "a.png").shape == (400, 900, 3)
    assert (picture(tmp_path / "a.png") != picture(tmp_path / "b.png")).any()


def test_a_class_without_detections_can_be_drawn(tmp_path: Path) -> None:
    draw_curves(tmp_path / "empty.png", "ring", EMPTY, 0.3)
    draw_summary(tmp_path / "all.png", ["ring", "disc"], [EMPTY, EMPTY])
    assert picture(tmp_path / "empty.png").size and picture(tmp_path / "all.png").size


def test_of_many_classes_those_with_the_most_objects_are_drawn(tmp_path: Path) -> None:
    names = [str(number) for number in range(60)]
    draw_summary(tmp_path / "many.png", names, [CURVE] * 60)
    draw_summary(tmp_path / "some.png", names[:20], [CURVE] * 20)
    assert (picture(tmp_path / "many.png") == picture(tmp_path / "some.png")).all()
