"""COCO's mAP of a few annotated images: whether an artifact detects as well as its detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vision_research.deploy.artifact.detections import Detections
from vision_research.evaluation.coco_results import coco_annotations, coco_results
from vision_research.evaluation.coco_score import score


@dataclass(frozen=True)
class Truth:
    """The annotated objects of an image.

    Attributes:
        boxes: (N, 4) float32, xyxy, pixels of the image.
        labels: (N,) int64.
        ignored: (N,) bool, crowds and the like, which are neither found nor missed.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class AveragePrecision:
    """MAP at IoU 0.50 to 0.95.

    Attributes:
        num_images: annotated ones that it was measured on.
        python: mAP of the detector in Python.
        artifact: mAP of the artifact.
    """

    num_images: int
    python: float
    artifact: float

    @property
    def difference(self) -> float:
        """Absolute difference between the two."""
        return abs(self.python - self.artifact)


def truth_of(instances: Sequence[Any]) -> Truth:
    """Read the `instances` of MMDetection's data sets."""
    return Truth(
        torch.tensor([one["bbox"] for one in instances], dtype=torch.float32).view(-1, 4),
        torch.tensor([one["bbox_label"] for one in instances], dtype=torch.int64),
        torch.tensor([bool(one.get("ignore_flag")) for one in instances], dtype=torch.bool),
    )


def mean_average_precision(truths: Sequence[Truth], found: Sequence[Detections]) -> float:
    """MAP as COCO computes it, over the annotated classes and IoU thresholds; 0 where nothing was found.

    Args:
        truths: the annotated objects of each image.
        found: the detections of each image, in the same order.
    """
    annotated = [
        {**one, "image_id": image}
        for image, truth in enumerate(truths)
        for one in coco_annotations(truth.labels.numpy(), truth.boxes.numpy(), truth.ignored.numpy())
    ]
    annotations = [{**one, "id": number} for number, one in enumerate(annotated, start=1)]
    categories = {one["category_id"] for one in annotations}
    results = [
        {**result, "image_id": image}
        for image, detections in enumerate(found)
        for result in coco_results(detections.labels.numpy(), detections.scores.numpy(), detections.boxes.numpy())
        if result["category_id"] in categories
    ]
    if not results:
        return 0.0
    ground_truth = {
        "images": [{"id": image, "width": 0, "height": 0} for image in range(len(truths))],
        "annotations": annotations,
        "categories": [{"id": category} for category in sorted(categories)],
    }
    return score(ground_truth, results, "bbox").stats["mAP"]
