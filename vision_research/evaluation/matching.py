"""Matches detections one-to-one with the ground truth by COCO's evaluation (hotcoco). It takes and returns arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hotcoco import COCO, COCOeval

from vision_research.evaluation.coco_results import coco_annotations, coco_results

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrueBoxes:
    """The annotated boxes of one image.

    Attributes:
        boxes: (M, 4) float64, xyxy, pixels.
        labels: (M,) int64.
        is_crowd: (M,) bool: a region of many objects; it may be found any number of times or not at all.
    """

    boxes: Floats
    labels: Ints
    is_crowd: Bools


@dataclass(frozen=True)
class FoundBoxes:
    """The detections of one image.

    Attributes:
        boxes: (N, 4) float64, xyxy, pixels.
        labels: (N,) int64.
        scores: (N,) float64.
    """

    boxes: Floats
    labels: Ints
    scores: Floats


@dataclass(frozen=True)
class Matches:
    """The detections of one class over a data set and whether each is right; those on crowds are left out.

    COCO matches detections by falling score, so what the better detections match does not depend on the others: the
    matches hold for every score threshold at once.

    Attributes:
        scores: (N,) float64, in any order.
        is_true: (N,) bool: matched an object that no better detection had matched.
        images: (N,) int64: number of the image, from 0.
        num_truths: (I,) int64: objects to find in each image; crowds are not counted.
    """

    scores: Floats
    is_true: Bools
    images: Ints
    num_truths: Ints

    @property
    def support(self) -> int:
        """Objects to find."""
        return int(self.num_truths.sum())


def match(found: Sequence[FoundBoxes], truths: Sequence[TrueBoxes], num_classes: int, iou_thr: float) -> list[Matches]:
    """Match the detections of a data set with its annotated boxes, by class in label order, best score first.

    Of equal scores the first detection comes first. Each takes the object that it overlaps most, among those that are
    free; of equal overlaps the last. Only where no object is left a crowd may take it.

    Args:
        found: detections of each image.
        truths: annotated boxes of each image.
        num_classes: labels are below it.
        iou_thr: the least overlap of a match: intersection over union; over a crowd, the share of the detection.
    """
    nothing = (np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))
    rows: list[list[tuple[Floats, Bools, Ints]]] = [[nothing] for _ in range(num_classes)]
    for entry in _evaluated(found, truths, num_classes, iou_thr):
        kept = ~np.array(entry["dtIgnore"][0], dtype=bool)
        scores, is_true = np.array(entry["dtScores"], np.float64), np.array(entry["dtMatched"][0], bool)
        images = np.full(int(kept.sum()), entry["image_id"], dtype=np.int64)
        rows[entry["category_id"] - 1].append((scores[kept], is_true[kept], images))
    num_truths = np.zeros((num_classes, len(truths)), dtype=np.int64)
    for image, truth in enumerate(truths):
        np.add.at(num_truths[:, image], truth.labels[~truth.is_crowd], 1)
    matches = []
    for of_class, counts in zip(rows, num_truths, strict=True):
        scores, is_true, images = (np.concatenate(column) for column in zip(*of_class, strict=True))
        matches.append(Matches(scores, is_true, images, counts))
    return matches


def pool(matches: list[Matches]) -> Matches:
    """Combine the matches of several classes as if they were one class, for a common threshold."""
    return Matches(
        np.concatenate([item.scores for item in matches]),
        np.concatenate([item.is_true for item in matches]),
        np.concatenate([item.images for item in matches]),
        np.sum([item.num_truths for item in matches], axis=0),
    )


def _evaluated(
    found: Sequence[FoundBoxes], truths: Sequence[TrueBoxes], num_classes: int, iou_thr: float
) -> list[dict[str, Any]]:
    """Run COCO's evaluation at one IoU threshold, over boxes of all areas and any number of them; return `evalImgs`."""
    annotations = [
        {**one, "image_id": image}
        for image, truth in enumerate(truths)
        for one in coco_annotations(truth.labels, truth.boxes, truth.is_crowd)
    ]
    truth_set = COCO(
        {
            "images": [{"id": image, "width": 0, "height": 0} for image in range(len(truths))],
            "categories": [{"id": label + 1, "name": str(label)} for label in range(num_classes)],
            "annotations": [{**one, "id": number} for number, one in enumerate(annotations, start=1)],
        }
    )
    results = [
        {**result, "image_id": image}
        for image, one in enumerate(found)
        for result in coco_results(one.labels, one.scores, one.boxes)
    ]
    evaluation = COCOeval(truth_set, truth_set.load_res(results), "bbox")
    evaluation.params.iou_thrs = [iou_thr]
    evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[-np.inf, np.inf]], ["all"]
    evaluation.params.max_dets = [max(map(len, (one.scores for one in found)), default=0) or 1]
    evaluation.evaluate()
    return [entry for entry in evaluation.eval_imgs if entry is not None]
