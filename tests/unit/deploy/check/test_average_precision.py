"""MAP of a few images, against values known by hand."""

from __future__ import annotations

import pytest
import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.check.average_precision import mean_average_precision, truth_of

TRUTHS = [
    truth_of([{"bbox": [0, 0, 40, 40], "bbox_label": 0}, {"bbox": [50, 50, 90, 90], "bbox_label": 1}]),
    truth_of([]),
]
NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def test_all_found_is_one_and_half_of_the_classes_is_a_half() -> None:
    both = Detections(TRUTHS[0].boxes, torch.tensor([0.9, 0.8]), TRUTHS[0].labels)

    assert mean_average_precision(TRUTHS, [both, NOTHING]) == pytest.approx(1.0)
    assert mean_average_precision(TRUTHS, [both.chosen(torch.tensor([0])), NOTHING]) == pytest.approx(0.5)
    assert mean_average_precision(TRUTHS, [NOTHING, NOTHING]) == 0.0


def test_a_better_scored_false_alarm_halves_the_precision() -> None:
    boxes = torch.cat([TRUTHS[0].boxes, torch.tensor([[100.0, 0, 140, 40]])])
    found = Detections(boxes, torch.tensor([0.8, 0.8, 0.9]), torch.tensor([0, 1, 0]))

    assert mean_average_precision(TRUTHS, [found, NOTHING]) == pytest.approx(0.75, abs=1e-3)
