"""Writes images with their detections drawn on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from vision_research.deploy.artifact.detections import Detections
from vision_research.inference.image_source import Picture
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
