"""Pairing of detections that need not agree in everything."""

from __future__ import annotations

import pytest
import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.check.agreement import agree
from vision_research.deploy.check.difference import Tolerance

TOLERANCE = Tolerance(box_px=0.5, score=0.01)


def found(*rows: tuple[float, float, int]) -> Detections:
    """Boxes of ten pixels at x, with a score and a label."""
    boxes = torch.tensor([[x, 0.0, x + 10, 10.0] for x, _, _ in rows]).view(-1, 4)
    return Detections(boxes, torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows]).long())


def test_partners_are_measured_whatever_their_order() -> None:
    expected = found((0, 0.9, 0), (50, 0.8, 0), (0, 0.7, 1))
    got = found((50.25, 0.805, 0), (0, 0.9, 0), (0, 0.7, 1))

    difference = agree(got, expected, TOLERANCE, 0.05, None)

    assert (difference.num_expected, difference.num_got, difference.unmatched) == (3, 3, 0)
    assert difference.box_px == 0.25
    assert abs(difference.score - 0.005) < 1e-6


def test_what_is_too_far_or_of_another_class_has_no_partner() -> None:
    expected = found((0, 0.9, 0), (50, 0.8, 0))

    assert agree(found((0.75, 0.9, 0), (50, 0.8, 0)), expected, TOLERANCE, 0.05, None).unmatched == 2
    assert agree(found((0, 0.9, 1), (50, 0.8, 0)), expected, TOLERANCE, 0.05, None).unmatched == 2
    assert agree(found((0, 0.9, 0)), expected, TOLERANCE, 0.05, None).unmatched == 1
    assert agree(found(), expected, TOLERANCE, 0.05, None).unmatched == 2
    assert agree(found((float("nan"), 0.9, 0), (50, 0.8, 0)), expected, TOLERANCE, 0.05, None).unmatched == 2


def test_a_score_at_the_cut_may_fall_either_way() -> None:
    expected = found((0, 0.9, 0), (50, 0.055, 0))

    assert agree(found((0, 0.9, 0)), expected, TOLERANCE, 0.05, None).unmatched == 0
    assert agree(found((0, 0.9, 0)), expected, TOLERANCE, 0.01, None).unmatched == 1
    # Of equal scores, either is the last that fits.
    tied = found((0, 0.9, 0), (70, 0.055, 0))
    assert agree(tied, expected, TOLERANCE, 0.0, 2).unmatched == 0
    assert agree(tied, expected, TOLERANCE, 0.0, 3).unmatched == 2


def test_masks_that_differ_by_more_than_the_bound_make_no_partners() -> None:
    tolerance = Tolerance(box_px=0.5, score=0.01, mask=0.02)
    rows = found((0, 0.9, 0), (50, 0.8, 0))
    masks = torch.zeros(2, 60, 60, dtype=torch.bool)
    masks[:, :40, :50] = True
    near, far = masks.clone(), masks.clone()
    near[0, 0, :30] = False
    far[0, 0, :41] = False
    expected = rows._replace(masks=masks)

    assert agree(rows._replace(masks=near), expected, tolerance, 0.05, None).mask == pytest.approx(30 / 2000)
    assert agree(rows._replace(masks=near), expected, tolerance, 0.05, None).unmatched == 0
    assert agree(rows._replace(masks=far), expected, tolerance, 0.05, None).unmatched == 2
