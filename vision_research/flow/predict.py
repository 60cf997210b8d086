"""The `predict` command's flow: find detector and images, detect batch by batch, write so that a kill loses nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vision_research.config.command_schema import PredictCommand
from vision_research.config.errors import ConfigError
from vision_research.datasets.predictions import Predictions
from vision_research.deploy.detections import Detections
from vision_research.engine.console import quiet_warnings
from vision_research.engine.image_source import Picture, find_images
from vision_research.engine.predictors import Predictor
from vision_research.engine.progress_bar import counting
from vision_research.flow.detectors import Detectors, find_detectors
from vision_research.flow.output import require_writable
from vision_research.flow.own_evaluation import require_boxes
from vision_research.flow.source import reach_s3
from vision_research.visualization.boxes import draw_boxes

logger = logging.getLogger(__name__)


def predict(words: PredictCommand) -> Path:
    """Detect in images, and go on where an earlier command of the same words stopped.

    Returns:
        The COCO file.

    Raises:
        UserError: what a person can mend, before anything is computed.
    """
    quiet_warnings()
    if words.batch_size < 1:
        raise ConfigError(f"batch_size={words.batch_size}: has to be 1 or more. Type batch_size=8")
    out = Path(words.out).absolute()
    require_writable("out", out / "predictions.json")
    reach_s3(words)
    images = find_images(words.images)
    detectors = find_detectors(words, words.artifact)
    require_boxes(detectors.config, words, "predict writes")
    thresholds = class_thresholds(words, detectors.classes)
    predictions = Predictions(out, _made_by(words, detectors, len(images)))
    if predictions.is_complete:
        print(f"{predictions.result} is complete already", flush=True)
        return predictions.result
    predictor = _predictor(words, detectors)
    with counting("predicting", len(images), predictions.num_done) as count:
        for batch in _batches(images.pictures(predictions.num_done), words.batch_size):
            predictions.add(_entries(batch, predictor, thresholds, _drawing_folder(words, out), words.draw_score_thr))
            count.advance(len(batch))
    num_done = predictions.num_done
    _sum_up(predictions.result, num_done, predictions.finish(detectors.classes))
    return predictions.result


def class_thresholds(words: PredictCommand, classes: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the lowest score of each class that is kept, (C,).

    Raises:
        ConfigError: the thresholds cannot be read, or are of other classes.
    """
    if words.thresholds is None:
        return np.full(len(classes), words.score_thr)
    path = Path(words.thresholds)
    try:
        by_name = json.loads(path.read_text())["thresholds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"thresholds={words.thresholds}: it is no thresholds.json ({type(error).__name__}). Make one: python -m "
            "vision_research.threshold run=..."
        ) from error
    if set(by_name) != set(classes):
        raise ConfigError(
            f"thresholds={words.thresholds}: its classes are {', '.join(by_name)}; those of the detector are "
            f"{', '.join(classes)}"
        )
    return np.array([float(by_name[name]) for name in classes])


def _predictor(words: PredictCommand, detectors: Detectors) -> Predictor:
    if detectors.artifacts:
        return detectors.artifacts[0]
    checkpoint = detectors.checkpoint(words, words.device.value)
    assert checkpoint is not None, "without an artifact there is a run or a checkpoint"
    return checkpoint


def _made_by(words: PredictCommand, detectors: Detectors, num_images: int) -> dict[str, Any]:
    file = detectors.artifacts[0].artifact.path if detectors.artifacts else None
    if file is None and detectors.source is not None:
        file = detectors.source.checkpoint
    assert file is not None
    return {
        "detector": str(file.absolute()),
        "detector_changed": int(file.stat().st_mtime),
        "images": str(words.images),
        "num_images": num_images,
        "score_thr": words.score_thr,
        "thresholds": words.thresholds,
        "draw": words.draw,
    }


def _batches(pictures: Iterator[Picture], size: int) -> Iterator[list[Picture]]:
    while batch := list(islice(pictures, size)):
        yield batch


def _entries(
    batch: Sequence[Picture],
    predictor: Predictor,
    thresholds: np.ndarray[Any, np.dtype[np.float64]],
    drawings: Path | None,
    draw_score_thr: float,
) -> list[dict[str, Any]]:
    """Detect in a batch and draw it; what cannot be decoded is an entry too."""
    found = iter(predictor.predict([picture.image for picture in batch if picture.image is not None]))
    entries: list[dict[str, Any]] = []
    for picture in batch:
        if picture.image is None:
            logger.warning("left out: %s (%s)", picture.name, picture.problem)
            entries.append({"file_name": picture.name, "problem": picture.problem})
            continue
        detections = _kept(next(found), thresholds)
        if drawings is not None:
            _draw(picture, detections, predictor.classes, drawings, draw_score_thr)
        height, width = picture.image.shape[:2]
        size = {"file_name": picture.name, "width": width, "height": height}
        entries.append({**size, "annotations": coco_annotations(detections)})
    return entries


def coco_annotations(found: Detections) -> list[dict[str, Any]]:
    """Write detections as COCO results; labels 0, 1, ... become the categories 1, 2, ..."""
    annotations = []
    for index, (box, score, label) in enumerate(
        zip(found.boxes.double().tolist(), found.scores.double().tolist(), found.labels.tolist(), strict=True)
    ):
        width, height = box[2] - box[0], box[3] - box[1]
        bbox = [box[0], box[1], width, height]
        entry = {"category_id": label + 1, "bbox": bbox, "score": score, "area": width * height, "iscrowd": 0}
        if found.masks is not None:
            entry["segmentation"] = _run_lengths(found.masks[index].numpy())
        annotations.append(entry)
    return annotations


def _run_lengths(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def _kept(found: Detections, thresholds: np.ndarray[Any, np.dtype[np.float64]]) -> Detections:
    import torch

    chosen = found.scores.double() >= torch.from_numpy(thresholds)[found.labels]
    return Detections(*(None if part is None else part[chosen] for part in found))  # type: ignore[arg-type]


def _drawing_folder(words: PredictCommand, out: Path) -> Path | None:
    return out / "drawn" if words.draw else None


def _draw(picture: Picture, found: Detections, classes: Sequence[str], folder: Path, draw_score_thr: float) -> None:
    shown = found.scores >= draw_score_thr
    parts = [part[shown].numpy() for part in (found.boxes, found.scores, found.labels)]
    masks = None if found.masks is None else found.masks[shown].numpy().astype(bool)
    assert picture.image is not None
    # The suffix stays in the name: a folder may hold both 1.png and 1.jpg.
    is_jpeg = Path(picture.name).suffix.lower() in (".jpg", ".jpeg")
    path = folder / (picture.name if is_jpeg else f"{picture.name}.jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw_boxes(picture.image, parts[0], parts[1], parts[2], classes, masks))


def _sum_up(result: Path, num_images: int, problems: Sequence[dict[str, Any]]) -> None:
    print(f"\n{num_images - len(problems)} images predicted: {result}", flush=True)
    if problems:
        names = ", ".join(f"{entry['file_name']} ({entry['problem']})" for entry in problems[:20])
        more = f" and {len(problems) - 20} more" if len(problems) > 20 else ""
        print(f"{len(problems)} could not be used: {names}{more}", flush=True)
