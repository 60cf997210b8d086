"""Masks packed to bits and back."""

from __future__ import annotations

import numpy as np
import torch

from vision_research.deploy.check.consumer import pack_masks, unpack_masks


def test_packed_masks_come_back_whatever_their_size() -> None:
    for count, height, width in ((3, 5, 7), (1, 8, 8), (0, 5, 7)):
        masks = torch.rand(count, height, width).numpy() > 0.5

        packed = pack_masks(masks)

        assert packed.shape == (count, -(-height * width // 8)) and packed.dtype == np.uint8
        assert np.array_equal(unpack_masks(packed, height, width), masks)
