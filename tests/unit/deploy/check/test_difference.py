"""Comparing two lists of detections."""

from __future__ import annotations

import pytest
import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.check.difference import Difference, Tolerance, compare


def detections(*rows: tuple[float, float, int]) -> Detections:
    """Ten-pixel boxes from (x, score, label)."""
    boxes = torch.tensor([[x, 0.0, x + 10.0, 10.0] for x, _, _ in rows]).view(-1, 4)
    scores, labels = torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows], dtype=torch.int64)
    return Detections(boxes, scores, labels)


def test_equal_lists_differ_by_nothing() -> None:
    found = detections((0, 0.9, 0), (50, 0.8, 1))

    assert compare(found, found) == Difference(2, 2, 0.0, 0.0)


def test_the_order_of_equal_scores_does_not_matter() -> None:
    assert compare(detections((0, 0.9, 0), (50, 0.9, 0)), detections((50, 0.9, 0), (0, 0.9, 0))) == Difference(
        2, 2, 0, 0
    )


def test_each_box_is_matched_once() -> None:
    # Matched to its nearest, both of ours would take the box at 0 and the one at 50 would never be missed.
    difference = compare(detections((0, 0.5, 0), (1, 0.5, 0)), detections((0, 0.5, 0), (50, 0.5, 0)))

    assert difference.box_px == 49.0


def test_the_largest_differences_over_all_classes_are_measured() -> None:
    difference = compare(detections((0.25, 0.9, 0), (50, 0.75, 1)), detections((0, 0.9, 0), (50, 0.5, 1)))

    assert (difference.box_px, difference.score) == (0.25, 0.25)


@pytest.mark.parametrize(
    "got",
    [detections((0, 0.9, 0)), detections((0, 0.9, 0), (50, 0.8, 0)), detections()],
    ids=["fewer", "class", "none"],
)
def test_other_counts_or_classes_are_infinitely_far(got: Detections) -> None:
    difference = compare(got, detections((0, 0.9, 0), (50, 0.8, 1)))

    assert difference.box_px == difference.score == float("inf")
    assert not difference.within(Tolerance(1e9, 1e9))


def test_two_empty_lists_agree() -> None:
    assert compare(detections(), detections()).within(Tolerance(0, 0))


def test_not_a_number_is_never_within_tolerance_but_equal_infinities_are() -> None:
    nan, infinite = detections((0, 0.9, 0)), detections((0, 0.9, 0))
    nan.boxes[0, 0] = float("nan")
    infinite.boxes[0, 2] = float("inf")

    assert not compare(nan, detections((0, 0.9, 0))).within(Tolerance(1e9, 1e9))
    assert compare(infinite, infinite).within(Tolerance(0, 0))


def with_masks(found: Detections, *columns: int) -> Detections:
    """Masks of so many filled columns, 100 pixels high, in a picture of 100x100."""
    return found._replace(masks=torch.stack([torch.arange(100).expand(100, 100) < count for count in columns]))


def test_masks_are_compared_with_those_of_the_matched_detections() -> None:
    expected = with_masks(detections((0, 0.9, 0), (50, 0.8, 0)), 20, 40)
    swapped = with_masks(detections((50, 0.8, 0), (0, 0.9, 0)), 40, 19)

    assert compare(expected, expected).mask == 0.0
    # 100 pixels of a union of 2,000.
    assert compare(swapped, expected).mask == pytest.approx(0.05)
    assert not compare(swapped, expected).within(Tolerance(0, 0, mask=0.049))
    assert compare(swapped, expected).within(Tolerance(0, 0, mask=0.051))


def test_a_pixel_of_a_small_mask_is_a_thousandth() -> None:
    expected = with_masks(detections((0, 0.9, 0)), 1)
    got = with_masks(detections((0, 0.9, 0)), 1)
    assert expected.masks is not None and got.masks is not None
    got.masks[0, 0, 0] = False

    assert compare(got, expected).mask == pytest.approx(0.001)


def test_missing_masks_are_infinitely_far() -> None:
    expected = with_masks(detections((0, 0.9, 0)), 1)

    assert compare(detections((0, 0.9, 0)), expected).mask == float("inf")
    assert compare(with_masks(detections((0, 0.9, 1)), 1), expected).mask == float("inf")
