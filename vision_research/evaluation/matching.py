"""Which detections are right: one-to-one matching with the ground truth, as COCO evaluation does it.

Pure functions on arrays; knows nothing of images, files or detectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truths:
    """The annotated boxes of one class in one image.

    Attributes:
        boxes: (M, 4) float64, xyxy, pixels.
        is_crowd: (M,) bool: a region of many objects; it may be found any number of times or not at all.
    """

    boxes: Floats
    is_crowd: Bools


@dataclass(frozen=True)
class Matches:
    """The detections of one class over a data set, each judged; ignored ones (on crowds) are left out.

    COCO matches detections by falling score, so what the better ones match does not depend on the others: the judgement
    holds for every score threshold at once.

    Attributes:
        scores: (N,) float64, in any order.
        is_true: (N,) bool: matched an object that nothing better had matched.
        images: (N,) int64: number of the image, from 0.
        num_truths: (I,) int64: objects to find in each image; crowds are none.
    """

    scores: Floats
    is_true: Bools
    images: Ints
    num_truths: Ints

    @property
    def support(self) -> int:
        """Objects to find."""
        return int(self.num_truths.sum())


def overlaps(boxes: Floats, truths: Truths) -> Floats:
    """Measure how far detections cover annotated boxes.

    Args:
        boxes: (N, 4) float64, xyxy, pixels.
        truths: M annotated boxes.

    Returns:
        (N, M) intersection over union; over a crowd, the share of the detection that lies in it. 0 without area.
    """
    low = np.maximum(boxes[:, None, :2], truths.boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truths.boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas, truth_areas = (np.clip(item[:, 2:] - item[:, :2], 0, None).prod(axis=1) for item in (boxes, truths.boxes))
    union = np.where(truths.is_crowd[None], areas[:, None], areas[:, None] + truth_areas[None] - shared)
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def match_image(boxes: Floats, scores: Floats, truths: Truths, iou_thr: float) -> tuple[Bools, Bools]:
    """Match the detections of one class in one image, best score first; of equal scores the first comes first.

    Each takes the object that it overlaps most, among those that are free; of equal overlaps the last, as in
    pycocotools. Only where no object is left a crowd may take it.

    Args:
        boxes: (N, 4) float64, xyxy, pixels.
        scores: (N,) float64.
        truths: annotated boxes.
        iou_thr: the least overlap of a match.

    Returns:
        (N,) bool: matched an object; (N,) bool: ignored, since it lies on a crowd.
    """
    is_true, is_ignored = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    found = overlaps(boxes, truths)
    free = ~truths.is_crowd
    # pycocotools' own margin: an overlap that equals the threshold matches in spite of rounding.
    least = min(iou_thr, 1 - 1e-10)
    for index in np.argsort(-scores, kind="stable"):
        row = np.where(free, found[index], -1.0)
        if row.size and row.max() >= least:
            best = len(row) - 1 - int(row[::-1].argmax())
            is_true[index], free[best] = True, False
        elif truths.is_crowd.any() and found[index][truths.is_crowd].max() >= least:
            is_ignored[index] = True
    return is_true, is_ignored


def pool(matches: list[Matches]) -> Matches:
    """Put classes together, as if they were one: for a threshold that all share."""
    return Matches(
        np.concatenate([item.scores for item in matches]),
        np.concatenate([item.is_true for item in matches]),
        np.concatenate([item.images for item in matches]),
        np.sum([item.num_truths for item in matches], axis=0),
    )
