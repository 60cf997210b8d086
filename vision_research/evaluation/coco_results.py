"""Writes detections as COCO results, boxes as COCO annotations, and masks as run lengths, which it reads too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hotcoco import mask as rle

BoolArray = npt.NDArray[np.bool_]
# A run-length encoded mask: `size` is [height, width], `counts` the compressed run lengths.
RunLengths = dict[str, Any]


def coco_results(
    labels: npt.NDArray[np.integer[Any]],
    scores: npt.NDArray[np.floating[Any]],
    boxes: npt.NDArray[np.floating[Any]] | None = None,
    segmentations: Sequence[RunLengths] | None = None,
) -> list[dict[str, Any]]:
    """Return the detections of one image as COCO results, without the id of the image.

    Where COCO's evaluation finds both a box and a mask, it takes the area of an object from the box. To score masks,
    leave `boxes` out.

    Args:
        labels: (N,) integers from 0; the category ids are label + 1.
        scores: (N,) floats.
        boxes: (N, 4) floats, xyxy, pixels of the image; written as xywh in double precision.
        segmentations: N run-length encoded masks.

    Returns:
        N dicts with `category_id`, `score`, and `bbox` and `segmentation` where they are given.
    """
    results: list[dict[str, Any]] = [
        {"category_id": label + 1, "score": score}
        for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
    ]
    if boxes is not None:
        for result, box in zip(results, to_xywh(boxes), strict=True):
            result["bbox"] = box
    if segmentations is not None:
        for result, segmentation in zip(results, segmentations, strict=True):
            result["segmentation"] = segmentation
    return results


def coco_annotations(
    labels: npt.NDArray[np.integer[Any]], boxes: npt.NDArray[np.floating[Any]], is_crowd: BoolArray
) -> list[dict[str, Any]]:
    """Return the annotated boxes of one image as COCO annotations, without ids of their own and of the image.

    Args:
        labels: (N,) integers from 0; the category ids are label + 1.
        boxes: (N, 4) floats, xyxy, pixels of the image; written as xywh in double precision.
        is_crowd: (N,) bool.

    Returns:
        N dicts with `category_id`, `bbox`, `area` (of the box, square pixels) and `iscrowd`.
    """
    rows = zip(labels.tolist(), to_xywh(boxes), is_crowd.tolist(), strict=True)
    return [
        {"category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
        for label, box, crowd in rows
    ]


def to_xywh(boxes: npt.NDArray[np.floating[Any]]) -> list[list[float]]:
    """Turn (N, 4) xyxy boxes of any float type into lists of x, y, width, height, computed in double precision."""
    corners = boxes.astype(np.float64).reshape(-1, 4)
    corners[:, 2:] -= corners[:, :2]
    return corners.tolist()


def encode_mask(mask: npt.NDArray[Any]) -> RunLengths:
    """Encode an (H, W) mask of zeros and ones (bool or integers); `counts` is a str, so that JSON takes it."""
    encoded = rle.encode(np.asarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def decode_mask(segmentation: RunLengths | list[list[float]], height: int, width: int) -> BoolArray:
    """Decode a segmentation as a COCO file has it into an (H, W) bool mask.

    Args:
        segmentation: run lengths, whose counts may be compressed (str or bytes) or a list; or polygons, each
            [x1, y1, x2, y2, ...] in pixels.
        height: height of the image, pixels; used for polygons.
        width: width of the image, pixels; used for polygons.
    """
    if isinstance(segmentation, list):
        segmentation = rle.merge(rle.frPyObjects(segmentation, height, width))
    return rle.decode(segmentation).astype(np.bool_)
