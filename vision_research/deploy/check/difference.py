"""How far two lists of detections of the same image are apart, where each detection must have a partner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vision_research.deploy.artifact.detections import Detections

# Smaller unions count as that many pixels, so that one pixel at the threshold is at most a thousandth of a mask.
_SMALLEST_UNION = 1000


@dataclass(frozen=True)
class Tolerance:
    """The largest allowed differences between two implementations.

    Attributes:
        box_px: of a box coordinate, pixels of the image.
        score: of a score.
        mask: of a mask, as a share of its pixels (`Difference.mask`).
        unmatched: share of the detections of both, over all images, that may lack a partner (`agreement.agree`).
    """

    box_px: float
    score: float
    mask: float = 0.0
    unmatched: float = 0.0


@dataclass(frozen=True)
class Difference:
    """Largest differences between two lists of detections after one-to-one matching; infinite where they do not match.

    Attributes:
        num_expected: detections of the reference.
        num_got: detections of the other.
        box_px: of a coordinate, pixels of the image.
        score: of a score.
        mask: of two matched masks, the pixels in which they differ as a share of their union (unions under 1,000 pixels
            count as 1,000); None where there are no masks.
        unmatched: detections of both lists without a partner, where lists need not match up (`agreement.agree`).
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

    Detections of equal score may come in any order, so the order is not compared.

    Args:
        got: detections of the implementation under test.
        expected: detections of the reference.
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
    """The largest share of differing pixels over pairs of masks; infinite where one is None or the shapes differ.

    Args:
        got: (N, H, W) bool, or None.
        expected: (N, H, W) bool, or None.
    """
    if got is None or expected is None or got.shape != expected.shape:
        return float("inf")
    return float(mask_shares(got, expected).max())


def mask_shares(got: Tensor, expected: Tensor) -> Tensor:
    """The share of differing pixels of each pair of masks, (N,) float32, as `Difference.mask` counts them.

    Args:
        got: (N, H, W) bool.
        expected: (N, H, W) bool.
    """
    differing = (got ^ expected).flatten(1).sum(1)
    return differing / (got | expected).flatten(1).sum(1).clamp(min=_SMALLEST_UNION)


def _match(ours: Detections, theirs: Detections) -> Tensor:
    """For each of ours the index of its partner, in the assignment with the smallest total difference."""
    from scipy.optimize import linear_sum_assignment

    if torch.equal(ours.boxes, theirs.boxes) and torch.equal(ours.scores, theirs.scores):
        return torch.arange(len(ours.scores))
    # A score difference of 0.01 weighs as much as a pixel.
    cost = torch.cdist(ours.boxes.double(), theirs.boxes.double(), p=1) + 100 * torch.cdist(
        ours.scores.double()[:, None], theirs.scores.double()[:, None], p=1
    )
    # Boxes that overflowed cannot be matched by distance; they are compared in their order.
    _, columns = linear_sum_assignment(cost.nan_to_num(nan=1e12, posinf=1e12).numpy())
    return torch.from_numpy(columns)


def _apart(got: Tensor, expected: Tensor) -> Tensor:
    """The largest difference; equal infinities differ by nothing, NaN by infinity."""
    difference = torch.where(got == expected, torch.zeros_like(got), (got - expected).abs())
    return difference.nan_to_num(nan=float("inf"), posinf=float("inf")).max()
