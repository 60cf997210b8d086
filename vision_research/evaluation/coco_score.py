"""Scores detections as COCO does, with hotcoco. It takes and returns plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hotcoco import COCO, COCOeval

Float64Array = npt.NDArray[np.float64]
IouType = Literal["bbox", "segm"]
AREA_NAMES = ("s", "m", "l")
_IMAGE_KEYS = ("id", "width", "height")
_ANNOTATION_KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")


@dataclass(frozen=True)
class CocoScores:
    """The values of a COCO evaluation; -1 where there is nothing to score.

    Attributes:
        stats: by MMDetection's names: `mAP`, `mAP_50`, `mAP_75`, `mAP_s`, `mAP_m`, `mAP_l`, `AR@<n>` for each number of
            detections, `AR_s@<n>`, `AR_m@<n>` and `AR_l@<n>` for the largest.
        precision: (T, R, K, A, M) float64: IoU threshold, recall step, category, area range (all, s, m, l), detections.
    """

    stats: dict[str, float]
    precision: Float64Array

    def mean_precision(self, category: int, *, iou: int | None = None, area: int = 0) -> float:
        """Average the precision of one category; NaN if the category has no ground truth there.

        Args:
            category: its index.
            iou: index of one IoU threshold; None averages over all.
            area: index of the area range, 0 is all.
        """
        chosen = self.precision[slice(None) if iou is None else iou, :, category, area, -1]
        valid = chosen[chosen > -1]
        return float(valid.mean()) if valid.size else float("nan")


def score(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    iou_type: IouType,
    *,
    proposal_nums: Sequence[int] = (1, 10, 100),
    iou_thrs: Sequence[float] | Float64Array | None = None,
) -> CocoScores:
    """Score detections against a ground truth.

    Args:
        ground_truth: COCO data set with integer ids, annotation ids from 1 (0 means `unmatched` in the evaluation).
        detections: COCO results: `image_id`, `category_id`, `score`, and `bbox` (xywh, pixels) or `segmentation`
            (run lengths). An empty list scores 0.
        iou_type: compare boxes or masks.
        proposal_nums: how many detections of an image count.
        iou_thrs: IoU thresholds; None is 0.50 to 0.95 in steps of 0.05.

    Returns:
        The scores, equal to those of pycocotools.
    """
    truth = COCO(_needed_keys(ground_truth, iou_type))
    evaluation = COCOeval(truth, truth.load_res(detections), iou_type)
    evaluation.params.max_dets = sorted(proposal_nums)
    if iou_thrs is not None:
        evaluation.params.iou_thrs = [float(threshold) for threshold in iou_thrs]
    return run_evaluation(evaluation)


def run_evaluation(evaluation: COCOeval) -> CocoScores:
    """Run a COCO evaluation whose parameters are set, and return its scores."""
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return CocoScores(_summarize(precision, recall, evaluation.params), precision)


def _needed_keys(ground_truth: dict[str, Any], iou_type: IouType) -> dict[str, Any]:
    """Copy only what the evaluation reads, because hotcoco refuses odd values of other keys (`file_name: null`)."""
    keys = _ANNOTATION_KEYS if iou_type == "bbox" else (*_ANNOTATION_KEYS, "segmentation")
    return {
        "images": [{key: image[key] for key in _IMAGE_KEYS} for image in ground_truth["images"]],
        "annotations": [{key: one[key] for key in keys if key in one} for one in ground_truth["annotations"]],
        "categories": [{"id": category["id"], "name": str(category["id"])} for category in ground_truth["categories"]],
    }


def _summarize(precision: Float64Array, recall: Float64Array, params: Any) -> dict[str, float]:
    """Average as pycocotools does.

    Its mAP counts the 100 best detections of an image (`_summarize(1)` in pycocotools/cocoeval.py), every other value
    the largest of `maxDets`. MMDetection evaluates with 100, 300 and 1000, and published its figures so. `precision` is
    (T, R, K, A, M) as in `CocoScores`, and `recall` is (T, K, A, M).
    """
    counts = list(params.max_dets)
    at_100 = counts.index(100) if 100 in counts else -1
    at_iou = {f"mAP_{percent}": np.isclose(params.iou_thrs, percent / 100) for percent in (50, 75)}
    stats = {"mAP": precision[..., 0, at_100]}
    stats |= {name: precision[chosen, ..., 0, -1] for name, chosen in at_iou.items()}
    stats |= {f"mAP_{area}": precision[..., index, -1] for index, area in enumerate(AREA_NAMES, start=1)}
    stats |= {f"AR@{count}": recall[..., 0, index] for index, count in enumerate(counts)}
    stats |= {f"AR_{area}@{counts[-1]}": recall[..., index, -1] for index, area in enumerate(AREA_NAMES, start=1)}
    return {name: float(values[values > -1].mean()) if (values > -1).any() else -1.0 for name, values in stats.items()}
