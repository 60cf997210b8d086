"""Draws detections or annotated objects on an image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0.618034
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32] | None,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    masks: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Draw boxes with class and score, the best on top, on a copy of an image.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        boxes: (N, 4) float32, xyxy, pixels.
        scores: (N,) float32; None for annotated objects.
        labels: (N,) int64.
        classes: names, in the order of the labels.
        masks: (N, H, W) bool, blended with the image half and half.
    """
    drawn = image.copy()
    width = max(1, round(max(image.shape[:2]) / 400))
    for index in range(len(boxes)) if scores is None else np.argsort(scores, kind="stable"):
        colour = class_colour(int(labels[index]))
        if masks is not None:
            inside = masks[index]
            drawn[inside] = (drawn[inside].astype(np.float32) * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
        left, top, right, bottom = (round(float(edge)) for edge in boxes[index])
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, width)
        text = classes[int(labels[index])] + ("" if scores is None else f" {scores[index]:.2f}")
        cv2.putText(drawn, text, (left, max(top - 3, 10)), _FONT, 0.4 * width, colour, width, cv2.LINE_AA)
    return drawn


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the BGR colour of a label; consecutive labels have very different colours."""
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1, 0.9, 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)
