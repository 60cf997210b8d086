"""COCO's mAP of a few annotated images, by pycocotools: whether an artifact detects as well as its detector."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vision_research.deploy.detections import Detections


@dataclass(frozen=True)
class Truth:
    """What is annotated on an image.

    Attributes:
        boxes: (N, 4) float32, xyxy, pixels of the image.
        labels: (N,) int64.
        ignored: (N,) bool, crowds and the like, which count neither way.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class AveragePrecision:
    """MAP at IoU 0.50 to 0.95.

    Attributes:
        num_images: annotated ones that it was measured on.
        python: of the detector in Python.
        artifact: of the artifact.
    """

    num_images: int
    python: float
    artifact: float

    @property
    def difference(self) -> float:
        """Between the two, without a sign."""
        return abs(self.python - self.artifact)


def truth_of(instances: Sequence[Any]) -> Truth:
    """Read the `instances` of MMDetection's data sets."""
    return Truth(
        torch.tensor([one["bbox"] for one in instances], dtype=torch.float32).view(-1, 4),
        torch.tensor([one["bbox_label"] for one in instances], dtype=torch.int64),
        torch.tensor([bool(one.get("ignore_flag")) for one in instances], dtype=torch.bool),
    )


def mean_average_precision(truths: Sequence[Truth], found: Sequence[Detections]) -> float:
    """MAP over classes and IoU thresholds; 0 where nothing was found.

    Args:
        truths: of each image.
        found: in each image.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = [one for image, detections in enumerate(found) for one in _results(image, detections)]
    if not results:
        return 0.0
    annotations = [one for image, truth in enumerate(truths) for one in _annotations(image, truth)]
    labels = sorted({one["category_id"] for one in annotations})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(truths))],
        # COCOeval takes an id of 0 for "not matched".
        "annotations": [{**one, "id": number} for number, one in enumerate(annotations, 1)],
        "categories": [{"id": label} for label in labels],
    }
    # pycocotools prints.
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _annotations(image: int, truth: Truth) -> list[dict[str, Any]]:
    entries = []
    for box, label, ignored in zip(_xywh(truth.boxes), truth.labels.tolist(), truth.ignored.tolist(), strict=True):
        area = box[2] * box[3]
        entries.append({"image_id": image, "bbox": box, "category_id": label, "area": area, "iscrowd": int(ignored)})
    return entries


def _results(image: int, found: Detections) -> list[dict[str, Any]]:
    rows = zip(_xywh(found.boxes), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [{"image_id": image, "bbox": box, "score": score, "category_id": label} for box, score, label in rows]


def _xywh(boxes: Tensor) -> list[list[float]]:
    rows: list[list[float]] = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
    return rows
