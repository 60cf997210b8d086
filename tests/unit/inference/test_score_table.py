"""Scores of detectors side by side, and their names in the record."""

from __future__ import annotations

import math

import pytest

from vision_research.inference.evaluate import Evaluated, metric_values, print_scores

SCORES = {"coco/bbox_mAP": 0.5, "coco/bbox_mAP_50": 0.75, "coco/cat_precision": 0.6, "coco/dog_precision": math.nan}
CHECKPOINT = Evaluated("checkpoint", SCORES, 0.0125, [])
ARTIFACT = Evaluated("model.ts", {"coco/bbox_mAP": 0.4999, "coco/bbox_mAP_50": 0.75}, 0.01, [])


def test_values_are_recorded_by_class_and_undefined_ones_are_left_out() -> None:
    assert metric_values(CHECKPOINT, ["cat", "dog"], "test") == {
        "test/bbox_mAP": 0.5,
        "test/bbox_mAP_50": 0.75,
        "test/AP/cat": 0.6,
        "test/latency_ms": 12.5,
    }


def test_every_detector_has_a_row_and_every_class_its_ap(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores([CHECKPOINT, ARTIFACT], ["cat", "dog"], "test: 3 images")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines == [
        ["test:", "3", "images"],
        ["mAP", "mAP50", "ms", "an", "image"],
        ["checkpoint", "0.5000", "0.7500", "12.5"],
        ["model.ts", "0.4999", "0.7500", "10.0"],
        ["AP", "checkpoint", "model.ts"],
        ["cat", "0.6000", "-"],
        ["dog", "-", "-"],
    ]
