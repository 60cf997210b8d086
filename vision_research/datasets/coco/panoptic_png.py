"""Reads and writes COCO's panoptic maps: PNG images in which the colour of a pixel is the id of its segment."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# id = red + 256 green + 65536 blue
_WEIGHTS_BGR = np.array([65536, 256, 1], dtype=np.int64)


def decode_map(content: bytes) -> npt.NDArray[np.int64]:
    """Decode a PNG into the (H, W) int64 ids of its segments; `ValueError` if the bytes are no image."""
    image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a panoptic map is no PNG that can be decoded")
    ids: npt.NDArray[np.int64] = image.astype(np.int64) @ _WEIGHTS_BGR
    return ids


def encode_map(ids: npt.NDArray[np.integer]) -> bytes:
    """Encode the (H, W) ids of segments, below 2^24, as a PNG."""
    image = np.stack([ids >> 16, ids >> 8, ids], axis=-1) & 255
    done, content = cv2.imencode(".png", image.astype(np.uint8))
    assert done
    return bytes(content)
