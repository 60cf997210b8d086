"""What a detector finds in an image, and how far two answers to the same image are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# A union of fewer pixels counts as that many, so that one pixel at the threshold is a thousandth of a mask at most.
_SMALLEST_UNION = 1000


class Detections(NamedTuple):
    """The detections of one image.

    Attributes:
        boxes: (N, 4) float32, xyxy, pixels of the image.
        scores: (N,) float32.
        labels: (N,) int64.
        masks: (N, H, W) bool, pixels of the image; None where the detector gives boxes alone.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def chosen(self, index: Tensor) -> Detections:
        """Those at indices, or where a mask is true."""
        masks = None if self.masks is None else self.masks[index]
        return Detections(self.boxes[index], self.scores[index], self.labels[index], masks)


@dataclass(frozen=True)
class Tolerance:
    """What two implementations may differ by.

    Attributes:
        box_px: coordinates of a box, pixels of the image.
        score: of a detection.
        mask: share of a mask's pixels, as `Difference.mask`.
        unmatched: share of the detections of both, over all images, that may lack a partner (`agreement.agree`).
    """

    box_px: float
    score: float
    mask: float = 0.0
    unmatched: float = 0.0


@dataclass(frozen=True)
class Difference:
    """How far two lists of detections are apart, after one-to-one matching.

    Attributes:
        num_expected: detections of the reference.
        num_got: detections of the other.
        box_px: largest difference of a coordinate, pixels of the image; infinite where the lists do not match up.
        score: largest difference of a score; infinite where the lists do not match up.
        mask: largest share of pixels in which two matched masks differ, of their union (a union under 1,000 pixels
            counts as 1,000); infinite where the lists do not match up; None where there are no masks.
        unmatched: detections of either list without a partner, where lists need not match up (`agreement.agree`).
    """

    num_expected: int
    num_got: int
    box_px: float
    score: float
    mask: float | None = None
    unmatched: int = 0

    def within(self, tolerance: Tolerance) -> bool:
        """Whether the counts are equal and nothing differs by more than the tolerance."""
        return (
            self.num_got == self.num_expected
            and self.box_px <= tolerance.box_px
            and self.score <= tolerance.score
            and (self.mask or 0.0) <= tolerance.mask
        )


def compare(got: Detections, expected: Detections) -> Difference:
    """Match two lists of detections one to one, within each class, and measure the largest differences.

    The order is no evidence: detections of equal score may come in any.

    Args:
        got: of the implementation under test.
        expected: of the reference.
    """
    num_got, num_expected = len(got.scores), len(expected.scores)
    infinite = float("inf")
    if not torch.equal(got.labels.sort()[0], expected.labels.sort()[0]):
        return Difference(num_expected, num_got, infinite, infinite, None if expected.masks is None else infinite)
    box_px, score = 0.0, 0.0
    mask = None if expected.masks is None else 0.0
    for label in torch.unique(expected.labels):
        ours, theirs = got.chosen(got.labels == label), expected.chosen(expected.labels == label)
        theirs = theirs.chosen(_match(ours, theirs))
        box_px = max(box_px, float(_apart(ours.boxes, theirs.boxes)))
        score = max(score, float(_apart(ours.scores, theirs.scores)))
        if mask is not None:
            mask = max(mask, masks_apart(ours.masks, theirs.masks))
    return Difference(num_expected, num_got, box_px, score, mask)


def masks_apart(got: Tensor | None, expected: Tensor | None) -> float:
    """The largest share of differing pixels over pairs of (N, H, W) bool masks."""
    if got is None or expected is None or got.shape != expected.shape:
        return float("inf")
    return float(mask_shares(got, expected).max())


def mask_shares(got: Tensor, expected: Tensor) -> Tensor:
    """The (N,) shares of differing pixels of pairs of (N, H, W) bool masks, as `Difference.mask` counts them."""
    differing = (got ^ expected).flatten(1).sum(1)
    return differing / (got | expected).flatten(1).sum(1).clamp(min=_SMALLEST_UNION)


def _match(ours: Detections, theirs: Detections) -> Tensor:
    """For each of ours, the index of its partner: the assignment with the least total difference."""
    from scipy.optimize import linear_sum_assignment

    if torch.equal(ours.boxes, theirs.boxes) and torch.equal(ours.scores, theirs.scores):
        return torch.arange(len(ours.scores))
    # A score difference of 0.01 weighs as much as a pixel.
    cost = torch.cdist(ours.boxes.double(), theirs.boxes.double(), p=1) + 100 * torch.cdist(
        ours.scores.double()[:, None], theirs.scores.double()[:, None], p=1
    )
    # Boxes that overflowed cannot be matched by distance; they are compared where they stand.
    _, columns = linear_sum_assignment(cost.nan_to_num(nan=1e12, posinf=1e12).numpy())
    return torch.from_numpy(columns)


def _apart(got: Tensor, expected: Tensor) -> Tensor:
    """The largest difference; equal infinities differ by nothing, NaN by infinity."""
    difference = torch.where(got == expected, torch.zeros_like(got), (got - expected).abs())
    return difference.nan_to_num(nan=float("inf"), posinf=float("inf")).max()
