"""From a data set and the detections in it to what the threshold search takes: every detection judged, by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vision_research.deploy.detections import Detections
from vision_research.engine.evaluate import loaded
from vision_research.engine.predictors import Predictor
from vision_research.engine.progress_bar import Count
from vision_research.evaluation.matching import Matches, Truths, match_image


def detect(predictor: Predictor, dataset: Any, load: Callable[..., Any], count: Count) -> list[Detections]:
    """Run a detector over a data set; its detections by image, in the order of the data set."""
    found = []
    for _, image in loaded(dataset, load):
        found += predictor.predict([image])
        count.advance()
    return found


def judge(found: Sequence[Detections], dataset: Any, num_classes: int, iou_thr: float) -> list[Matches]:
    """Match detections with the annotations.

    Args:
        found: detections of each image.
        dataset: an MMDetection data set, images in the same order.
        num_classes: of the detector.
        iou_thr: the least overlap of a match.

    Returns:
        The matches of each class, in the order of the labels.
    """
    truths = [_truths(dataset.get_data_info(index)["instances"]) for index in range(len(dataset))]
    return [_judge_class(found, truths, label, iou_thr) for label in range(num_classes)]


def _judge_class(
    found: Sequence[Detections], truths: Sequence[dict[int, Truths]], label: int, iou_thr: float
) -> Matches:
    scores, is_true, images, num_truths = [], [], [], []
    for number, (detections, by_label) in enumerate(zip(found, truths, strict=True)):
        chosen = detections.labels == label
        boxes = detections.boxes[chosen].double().numpy()
        values = detections.scores[chosen].double().numpy()
        wanted = by_label.get(label, _NONE)
        right, ignored = match_image(boxes, values, wanted, iou_thr)
        scores.append(values[~ignored])
        is_true.append(right[~ignored])
        images.append(np.full(int((~ignored).sum()), number, dtype=np.int64))
        num_truths.append(int((~wanted.is_crowd).sum()))
    gathered = (np.concatenate(scores), np.concatenate(is_true), np.concatenate(images))
    return Matches(*gathered, np.array(num_truths, dtype=np.int64))


def _truths(instances: Sequence[dict[str, Any]]) -> dict[int, Truths]:
    labels = np.array([item["bbox_label"] for item in instances], dtype=np.int64)
    boxes = np.array([item["bbox"] for item in instances], dtype=np.float64).reshape(-1, 4)
    crowds = np.array([bool(item.get("ignore_flag", 0)) for item in instances], dtype=bool)
    return {int(label): Truths(boxes[labels == label], crowds[labels == label]) for label in np.unique(labels)}


_NONE = Truths(np.zeros((0, 4)), np.zeros(0, bool))
