"""Reads images, boxes and masks from the results of a transform, in the form that they have at that step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """An image and its objects at one step of the pipeline.

    Attributes:
        image: (H, W, 3) uint8 BGR, a copy.
        boxes: (N, 4) float32 xyxy, in pixels of the image.
        labels: (N,) int64; -1 for objects that training ignores.
        masks: (N, H, W) bool, or None.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_] | None = None


def views(results: dict[str, Any], loaded_late: bool = False) -> Iterator[View]:
    """Yield the image of a sample, the frames of a video, or the branches of a semi-supervised pipeline.

    Args:
        results: results of a transform of MMDetection.
        loaded_late: whether annotations were loaded after the image was resized, in pixels of the original image.
    """
    if isinstance(results.get("inputs"), dict):
        for branch, image in results["inputs"].items():
            # A labelled image has no input for the teacher.
            if image is not None:
                objects = results["data_samples"][branch].gt_instances
                pixels = _uint8(image.numpy().transpose(1, 2, 0))
                yield View(pixels, _corners(objects.bboxes), objects.labels.numpy())
    elif isinstance(results.get("img"), list):
        for frame in range(len(results["img"])):
            yield _view({key: _of_frame(value, frame) for key, value in results.items()}, loaded_late)
    elif results.get("img") is not None:
        yield _view(results, loaded_late)


def _of_frame(value: Any, frame: int) -> Any:
    return value[frame] if isinstance(value, list) and frame < len(value) else value


def _view(results: dict[str, Any], loaded_late: bool) -> View:
    image = _uint8(results["img"], results.get("img_norm_cfg"))
    boxes = _corners(results.get("gt_bboxes"))
    labels = np.array(results.get("gt_bboxes_labels", np.zeros(len(boxes))), dtype=np.int64)
    labels[np.asarray(results.get("gt_ignore_flags", np.zeros(len(boxes))), dtype=bool)] = -1
    found = results.get("gt_masks")
    masks = None if found is None else found.to_ndarray().astype(bool)
    if not loaded_late:
        return View(image, boxes, labels, masks)
    # CenterNet adds a border to test images: top, bottom, left, right.
    top, _, left, _ = results.get("border", (0, 0, 0, 0))
    across, down = results["scale_factor"]
    matrix = np.array([[across, 0, left], [0, down, top]], np.float32)
    resized = boxes * np.tile(matrix[[0, 1], [0, 1]], 2) + np.tile(matrix[:, 2], 2)
    return View(image, resized, labels, None if masks is None else _resized(masks, matrix, image.shape))


def _corners(boxes: Any) -> NDArray[np.float32]:
    """Return MMDetection's boxes or an array as (N, 4) xyxy; no boxes for None."""
    if boxes is None:
        return np.zeros((0, 4), np.float32)
    corners = boxes.tensor.numpy() if hasattr(boxes, "tensor") else boxes
    return np.array(corners, dtype=np.float32).reshape(-1, 4)


def _resized(masks: NDArray[np.bool_], matrix: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Map (N, h, w) masks onto an image of another shape with a (2, 3) matrix of x and y."""
    height, width = shape[:2]
    resized = [
        cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST) for mask in masks
    ]
    return np.array(resized, dtype=bool).reshape(-1, height, width)


def _uint8(image: Any, norm_cfg: dict[str, Any] | None = None) -> NDArray[np.uint8]:
    """Copy an image as (H, W, 3) uint8 BGR, without the normalisation of the pipeline."""
    pixels = np.asarray(image)
    if norm_cfg is not None:
        pixels = pixels * norm_cfg["std"] + norm_cfg["mean"]
        pixels = pixels[..., ::-1] if norm_cfg.get("to_rgb") else pixels
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    return np.array(np.clip(pixels, 0, 255), dtype=np.uint8, order="C")
