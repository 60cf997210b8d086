"""Runs a detector on batches of images, and makes an entry of the journal of predictions for each image."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.evaluation.coco_results import coco_results, encode_mask
from vision_research.inference.drawn_images import Draw
from vision_research.inference.image_source import Picture
from vision_research.inference.predictors import Predictor

logger = logging.getLogger(__name__)


def batches(pictures: Iterator[Picture], size: int) -> Iterator[list[Picture]]:
    """Group images into batches.

    Args:
        pictures: the images.
        size: images in a batch; the last one may have fewer.
    """
    while batch := list(islice(pictures, size)):
        yield batch


def predict_batch(
    batch: Sequence[Picture], predictor: Predictor, thresholds: npt.NDArray[np.float64], draw: Draw | None = None
) -> list[dict[str, Any]]:
    """Run a detector on a batch.

    Args:
        batch: images; those that cannot be read are logged.
        predictor: the detector.
        thresholds: (C,) float64, the lowest score of each class that is kept.
        draw: is called with each image and the detections that are kept.

    Returns:
        An entry for each image: `file_name`, and either `width`, `height` and `annotations` or `problem`.
    """
    found = iter(predictor.predict([picture.image for picture in batch if picture.image is not None]))
    entries: list[dict[str, Any]] = []
    for picture in batch:
        if picture.image is None:
            logger.warning("left out: %s (%s)", picture.name, picture.problem)
            entries.append({"file_name": picture.name, "problem": picture.problem})
            continue
        detections = next(found)
        kept = detections.scores.double() >= torch.from_numpy(thresholds)[detections.labels]
        detections = detections.chosen(kept)
        if draw is not None:
            draw(picture, detections)
        height, width = picture.image.shape[:2]
        size = {"file_name": picture.name, "width": width, "height": height}
        entries.append({**size, "annotations": annotations_of(detections)})
    return entries


def annotations_of(found: Detections) -> list[dict[str, Any]]:
    """Return the detections of one image as COCO annotations with scores, without ids; the area is that of the box."""
    masks = None if found.masks is None else [encode_mask(mask) for mask in found.masks.numpy()]
    scores = found.scores.double().numpy()
    results = coco_results(found.labels.numpy(), scores, found.boxes.numpy(), masks)
    return [{**one, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0} for one in results]
