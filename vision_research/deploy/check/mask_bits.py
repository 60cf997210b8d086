"""Packs masks to bits, since a check holds a hundred of them for each image.

Imports numpy alone, because the consumer process imports this module.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pack_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(..., H, W) bool to (..., ceil(H * W / 8)) uint8."""
    return np.packbits(masks.reshape(*masks.shape[:-2], masks.shape[-2] * masks.shape[-1]), axis=-1)


def unpack_masks(packed: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """Unpack the masks of one image.

    Args:
        packed: (N, bytes) uint8, from `pack_masks`.
        height: of the masks, pixels.
        width: of the masks, pixels.

    Returns:
        (N, height, width) bool.
    """
    flat = np.unpackbits(packed, axis=1, count=height * width)
    return flat.reshape(packed.shape[0], height, width).astype(bool)
