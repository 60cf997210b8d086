"""MMDetection's CocoMetric with the evaluation done by hotcoco.

Importing this module registers `CocoDetectionMetric`. It differs from CocoMetric in the library that computes the
score, and in these cases: a run without any detection scores 0 (CocoMetric returns no score, and saving the best
checkpoint then raises), boxes of the ground truth that nothing can match are left out, and the values are not rounded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from vision_research.evaluation.coco_results import coco_results
from vision_research.evaluation.coco_score import AREA_NAMES, CocoScores, IouType, score

# Indices into the IoU thresholds 0.50, 0.55, ...: what CocoMetric's own table shows.
_TABLE_IOUS = (0, 5)
_DEFAULT_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@dataclass(frozen=True)
class _GroundTruth:
    """A data set ready to be scored against, the number of each image by its id in the file, and the boxes dropped."""

    dataset: dict[str, Any]
    image_numbers: dict[int | str, int]
    num_dropped: int


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
        self._ground_truth: _GroundTruth | None = None

    def compute_metrics(self, results: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        """Score what `process` kept of a whole data set, and return values by name, without prefix."""
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

    def _prepare(self, truths: Sequence[dict[str, Any]]) -> _GroundTruth:
        """Build the ground truth at the first call, from the annotation file or else from the samples."""
        if self._ground_truth is not None:
            return self._ground_truth
        classes = self.dataset_meta["classes"]
        if self._coco_api is None:
            with tempfile.TemporaryDirectory() as folder:
                self._coco_api = COCO(self.gt_to_coco_json(truths, str(Path(folder) / "truth")))
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=classes)
        self.img_ids = self._coco_api.get_img_ids()
        self._ground_truth = _prepare_ground_truth(self._coco_api.dataset, self.cat_ids)
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


def _prepare_ground_truth(dataset: dict[str, Any], category_ids: Sequence[int | str]) -> _GroundTruth:
    """Renumber a COCO data set and drop boxes that cannot be detected.

    Annotation ids are renumbered because COCO's evaluation reads a match with annotation 0 as no match. Images keep
    their order by id, since it decides between detections of equal score. Category ids are label + 1, so that the
    results are in label order even if a file does not list its categories by rising id (MMDetection 3.3's CocoMetric
    then writes the AP of one class under the name of another). `category_ids` are those of the labels 0, 1, ...;
    annotations of other categories are left out. The given data set is not changed.
    """
    ids = [image["id"] for image in dataset["images"]]
    numbers = {
        image_id: number
        for number, image_id in enumerate(
            sorted(ids, key=lambda image_id: (isinstance(image_id, str), image_id)), start=1
        )
    }
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    sizes = {image["id"]: (image["width"], image["height"]) for image in dataset["images"]}
    annotations: list[dict[str, Any]] = []
    num_dropped = 0
    for annotation in dataset.get("annotations", []):
        image_id = annotation["image_id"]
        if annotation["category_id"] not in labels or image_id not in numbers:
            continue
        if _is_impossible(annotation["bbox"], *sizes[image_id]):
            num_dropped += 1
            continue
        changed = {
            "id": len(annotations) + 1,
            "image_id": numbers[image_id],
            "category_id": labels[annotation["category_id"]] + 1,
            "iscrowd": int(annotation.get("iscrowd", 0)),
            "area": annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3]),
        }
        annotations.append(annotation | changed)
    images = [image | {"id": numbers[image["id"]]} for image in dataset["images"]]
    categories = [{"id": label + 1, "name": str(label)} for label in range(len(labels))]
    renumbered = {"images": images, "annotations": annotations, "categories": categories}
    return _GroundTruth(renumbered, numbers, num_dropped)


def _is_impossible(box: Sequence[float], image_width: float, image_height: float) -> bool:
    """Tell whether an xywh box has no area or lies outside of the image, so that no detection can match it.

    Training also drops boxes under 1 pixel. Here they stay, because COCO's evaluation counts them.
    """
    left, top, width, height = box
    shown_width = min(left + width, image_width) - max(left, 0)
    shown_height = min(top + height, image_height) - max(top, 0)
    return not (width > 0 and height > 0 and shown_width > 0 and shown_height > 0)
