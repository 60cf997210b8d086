"""Runs a detector on batches of images, and makes an entry of the journal of predictions for each image."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vision_research.config.errors import ConfigError
from vision_research.deploy.artifact.detections import Detections
from vision_research.evaluation.coco_results import coco_results, encode_mask
from vision_research.inference.image_source import Picture
from vision_research.inference.predictors import Predictor
from vision_research.visualization.boxes import draw_boxes

Draw = Callable[[Picture, Detections], None]


def image_drawer(folder: Path, classes: Sequence[str], score_thr: float) -> Draw:
    """Make a function that draws detections on a copy of their image and writes it as JPEG.

    Args:
        folder: where to write. An image keeps its name; if it is no JPEG, `.jpg` is added, because a folder may hold
            both 1.png and 1.jpg.
        classes: names, in the order of the labels.
        score_thr: detections of a lower score are not drawn.

    Returns:
        A function of an image that could be decoded and of its detections.
    """

    def draw(picture: Picture, found: Detections) -> None:
        assert picture.image is not None
        shown = found.chosen(found.scores >= score_thr)
        masks = None if shown.masks is None else shown.masks.numpy().astype(bool)
        parts = (shown.boxes.numpy(), shown.scores.numpy(), shown.labels.numpy())
        is_jpeg = Path(picture.name).suffix.lower() in (".jpg", ".jpeg")
        path = folder / (picture.name if is_jpeg else f"{picture.name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), draw_boxes(picture.image, *parts, classes, masks))

    return draw


def class_thresholds(file: str | None, score_thr: float, classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """Read the thresholds of the classes from a file, or give all classes the same one.

    Args:
        file: thresholds.json of a threshold search; None gives every class `score_thr`.
        score_thr: used without a file.
        classes: names, in the order of the labels.

    Returns:
        (C,) float64, the lowest score of each class that is kept.

    Raises:
        ConfigError: the file cannot be read, or has other classes.
    """
    if file is None:
        return np.full(len(classes), score_thr)
    try:
        by_name = json.loads(Path(file).read_text())["thresholds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"thresholds={file}: it is no thresholds.json ({type(error).__name__}). Make one: python -m "
            "vision_research.threshold run=..."
        ) from error
    if set(by_name) != set(classes):
        raise ConfigError(
            f"thresholds={file}: its classes are {', '.join(by_name)}; those of the detector are {', '.join(classes)}"
        )
    return np.array([float(by_name[name]) for name in classes])


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
