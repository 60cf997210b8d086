"""Scores detections as COCO does, with faster-coco-eval's C++ in place of pycocotools' Python loops.

Takes and returns plain values; knows nothing of detectors, labels or class names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

Float64Array = npt.NDArray[np.float64]
IouType = Literal["bbox", "segm"]
AREA_NAMES = ("s", "m", "l")


@dataclass(frozen=True)
class CocoScores:
    """What COCO evaluation yields; -1 where there is nothing to score.

    Attributes:
        stats: by MMDetection's names: `mAP`, `mAP_50`, `mAP_75`, `mAP_s`, `mAP_m`, `mAP_l`, `AR@<n>` for each number of
            detections, `AR_s@<n>`, `AR_m@<n>` and `AR_l@<n>` for the largest.
        precision: (T, R, K, A, M) float64: IoU threshold, recall step, category, area range (all, s, m, l), detections.
    """

    stats: dict[str, float]
    precision: Float64Array

    def mean_precision(self, category: int, *, iou: int | None = None, area: int = 0) -> float:
        """Average the precision of one category.

        Args:
            category: its index.
            iou: index of one IoU threshold; None averages over all.
            area: index of the area range, 0 is all.

        Returns:
            The average precision, NaN when the category has no ground truth there.
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
        detections: COCO results: `image_id`, `category_id`, `score`, and `bbox` (xywh, pixels) or `segmentation` (RLE).
            They gain `id`, `area` and `iscrowd`. None at all score 0.
        iou_type: compare boxes or masks.
        proposal_nums: how many detections of an image count.
        iou_thrs: IoU thresholds; None is 0.50 to 0.95 in steps of 0.05.

    Returns:
        The scores, equal to those of pycocotools.
    """
    truth = COCO(ground_truth)
    evaluation = COCOeval_faster(truth, truth.loadRes(detections), iou_type)
    evaluation.params.maxDets = sorted(proposal_nums)
    if iou_thrs is not None:
        evaluation.params.iouThrs = np.asarray(iou_thrs, dtype=np.float64)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], dtype=np.float64)
    recall = np.asarray(evaluation.eval["recall"], dtype=np.float64)
    return CocoScores(_summarize(precision, recall, evaluation.params), precision)


def _summarize(precision: Float64Array, recall: Float64Array, params: Any) -> dict[str, float]:
    """Average as pycocotools does.

    Its mAP counts the 100 best detections of an image (`_summarize(1)` in pycocotools/cocoeval.py), every other value
    the largest of `maxDets`. MMDetection evaluates with 100, 300 and 1000, and published its figures so.
    faster-coco-eval's own summary counts the largest for mAP too: another value where there are more than 100 (RTMDet).
    """
    counts = list(params.maxDets)
    at_100 = counts.index(100) if 100 in counts else -1
    at_iou = {f"mAP_{percent}": np.isclose(params.iouThrs, percent / 100) for percent in (50, 75)}
    stats = {"mAP": precision[..., 0, at_100]}
    stats |= {name: precision[chosen, ..., 0, -1] for name, chosen in at_iou.items()}
    stats |= {f"mAP_{area}": precision[..., index, -1] for index, area in enumerate(AREA_NAMES, start=1)}
    stats |= {f"AR@{count}": recall[..., 0, index] for index, count in enumerate(counts)}
    stats |= {f"AR_{area}@{counts[-1]}": recall[..., index, -1] for index, area in enumerate(AREA_NAMES, start=1)}
    return {name: float(values[values > -1].mean()) if (values > -1).any() else -1.0 for name, values in stats.items()}
