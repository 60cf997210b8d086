"""MMDetection's CocoMetric with the evaluation done by hotcoco.

Importing this module registers `CocoDetectionMetric`. It differs from CocoMetric in the library that computes the
score, and in these cases: a run without any detection scores 0 (CocoMetric returns no score, and saving the best
checkpoint then raises), boxes of the ground truth that nothing can match are left out, and the values are not rounded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from vision_research.evaluation.coco_ground_truth import GroundTruth, prepare_ground_truth
from vision_research.evaluation.coco_results import coco_results
from vision_research.evaluation.coco_score import AREA_NAMES, CocoScores, IouType, score

# Indices into the IoU thresholds 0.50, 0.55, ...: what CocoMetric's own table shows.
_TABLE_IOUS = (0, 5)
_DEFAULT_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@METRICS.register_module()
class CocoDetectionMetric(CocoMetric):
    """COCO metric for boxes and masks; takes the arguments of `CocoMetric`.

    With `metric='proposal'`, `metric='proposal_fast'` or `format_only=True` it does what CocoMetric does.

    The values have CocoMetric's names with the prefix `coco`: `bbox_mAP`, `bbox_mAP_50`, ..., and with `classwise`
    `<class>_precision`. If both boxes and masks are scored, the values of the second metric's classes are named
    `segm_<class>_precision` (in CocoMetric they overwrite those of the first). A class without ground truth has the
    value NaN, an area range without ground truth -1.
    """

    _coco_api: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `CocoMetric`."""
        super().__init__(*args, **kwargs)
        self._ground_truth: GroundTruth | None = None

    def compute_metrics(self, results: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        """Score the results of a whole data set.

        Args:
            results: ground truth and prediction of each image, as `process` keeps them.

        Returns:
            Values by name, without prefix.
        """
        if self.format_only or not set(self.metrics) <= {"bbox", "segm"}:
            return cast(dict[str, float], super().compute_metrics(results))
        truths, predictions = (list(side) for side in zip(*results, strict=True))
        ground_truth = self._prepare(truths)
        if self.outfile_prefix is not None:
            self.results2json(predictions, self.outfile_prefix)
        values: dict[str, float] = {}
        for metric in self.metrics:
            detections = list(_detections(predictions, ground_truth.image_numbers, metric))
            scores = score(
                ground_truth.dataset, detections, metric, proposal_nums=self.proposal_nums, iou_thrs=self.iou_thrs
            )
            values |= self._name_values(metric, scores)
        return values

    def _prepare(self, truths: Sequence[dict[str, Any]]) -> GroundTruth:
        """Build the ground truth at the first call, from the annotation file or else from the samples."""
        if self._ground_truth is not None:
            return self._ground_truth
        classes = self.dataset_meta["classes"]
        if self._coco_api is None:
            with tempfile.TemporaryDirectory() as folder:
                self._coco_api = COCO(self.gt_to_coco_json(truths, str(Path(folder) / "truth")))
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=classes)
        self.img_ids = self._coco_api.get_img_ids()
        self._ground_truth = prepare_ground_truth(self._coco_api.dataset, self.cat_ids)
        if self._ground_truth.num_dropped:
            MMLogger.get_current_instance().warning(
                "%d ground truth boxes have no size or lie outside of their image; they are not scored",
                self._ground_truth.num_dropped,
            )
        return self._ground_truth

    def _name_values(self, metric: IouType, scores: CocoScores) -> dict[str, float]:
        items = _DEFAULT_ITEMS if self.metric_items is None else self.metric_items
        unknown = [item for item in items if item not in scores.stats]
        if unknown:
            raise KeyError(f"metric_items={unknown}: not known. Allowed: {', '.join(scores.stats)}")
        values = {f"{metric}_{item}": scores.stats[item] for item in items}
        if self.classwise:
            # In label order, which is the order of the annotation file.
            names = [category["name"] for category in self._coco_api.loadCats(self.cat_ids)]
            prefix = "" if metric == self.metrics[0] else f"{metric}_"
            values |= {f"{prefix}{name}_precision": scores.mean_precision(index) for index, name in enumerate(names)}
            MMLogger.get_current_instance().info("%s by class\n%s", metric, _class_table(names, scores))
        return values


def _detections(
    predictions: Sequence[dict[str, Any]], image_numbers: dict[int | str, int], metric: IouType
) -> Iterator[dict[str, Any]]:
    """Yield predictions, as `CocoMetric.process` keeps them, as COCO results.

    Masks have their own scores if the detector gives any. `image_numbers` has the number of an image by its id.
    """
    for prediction in predictions:
        labels, scores = prediction["labels"], prediction["scores"]
        if metric == "segm":
            scores = prediction.get("mask_scores", scores)
            results = coco_results(labels, scores, segmentations=prediction["masks"])
        else:
            results = coco_results(labels, scores, prediction["bboxes"])
        image_number = image_numbers[prediction["img_id"]]
        yield from ({"image_id": image_number, **result} for result in results)


def _class_table(names: Sequence[str], scores: CocoScores) -> str:
    """Return the average precision by class as CocoMetric's table: over all, at IoU 0.50 and 0.75, and by area."""
    width = max(map(len, ("category", *names)))
    rows = [" ".join([f"{'category':<{width}}", *(f"{item:>7}" for item in _DEFAULT_ITEMS)])]
    num_ious = scores.precision.shape[0]
    for index, name in enumerate(names):
        values = [scores.mean_precision(index)]
        values += [scores.mean_precision(index, iou=iou) if iou < num_ious else float("nan") for iou in _TABLE_IOUS]
        values += [scores.mean_precision(index, area=area) for area in range(1, len(AREA_NAMES) + 1)]
        rows.append(" ".join([f"{name:<{width}}", *(f"{value:>7.3f}" for value in values)]))
    return "\n".join(rows)
