"""Masks, eight pixels to the byte: how they wait for their comparison, a hundred to an image.

Imports numpy alone, for the process that proves what an artifact needs imports this too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pack_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(..., H, W) bool to (..., ceil(H * W / 8)) uint8."""
    return np.packbits(masks.reshape(*masks.shape[:-2], masks.shape[-2] * masks.shape[-1]), axis=-1)


def unpack_masks(packed: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """What `pack_masks` packed of the masks of one image: (N, height, width) bool."""
    flat = np.unpackbits(packed, axis=1, count=height * width)
    return flat.reshape(packed.shape[0], height, width).astype(bool)
