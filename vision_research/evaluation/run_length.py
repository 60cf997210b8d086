"""Run-length encoding of masks in COCO's format.

`tracking/served_model.py` has an encoder of its own, because MLflow models carry a copy of that file; a test compares
the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hotcoco import mask as rle

BoolArray = npt.NDArray[np.bool_]
# A run-length encoded mask: `size` is [height, width], `counts` the compressed run lengths.
RunLengths = dict[str, Any]


def encode_mask(mask: npt.NDArray[Any]) -> RunLengths:
    """Encode an (H, W) mask of zeros and ones (bool or integers); `counts` is a str, so that JSON takes it."""
    encoded = rle.encode(np.asarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def decode_mask(segmentation: RunLengths | list[list[float]], height: int, width: int) -> BoolArray:
    """Decode a segmentation as a COCO file has it.

    Args:
        segmentation: run lengths, whose counts may be compressed (str or bytes) or a list; or polygons, each
            [x1, y1, x2, y2, ...] in pixels.
        height: height of the image, pixels; used for polygons.
        width: width of the image, pixels; used for polygons.

    Returns:
        (H, W) bool.
    """
    if isinstance(segmentation, list):
        segmentation = rle.merge(rle.frPyObjects(segmentation, height, width))
    return rle.decode(segmentation).astype(np.bool_)
