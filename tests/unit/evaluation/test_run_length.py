"""Run-length encoding, held against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as mask_api

from vision_research.evaluation.coco_results import decode_mask, encode_mask


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_a_mask_is_encoded_as_pycocotools_encodes_it_and_read_back(dtype: type, order: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 9), (7, 1), (6, 5), (40, 30)):
        mask = np.array(rng.random(shape) < rng.random(), dtype=dtype, order=order)
        expected = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
        encoded = encode_mask(mask)
        assert encoded == {"size": list(shape), "counts": expected["counts"].decode()}
        decoded = decode_mask(encoded, *shape)
        assert decoded.dtype == np.bool_
        np.testing.assert_array_equal(decoded, mask.astype(bool))


def test_a_mask_without_a_pixel_and_one_of_all_pixels_are_read_back() -> None:
    for mask in (np.zeros((3, 4), bool), np.ones((3, 4), bool)):
        np.testing.assert_array_equal(decode_mask(encode_mask(mask), 3, 4), mask)


def test_counts_that_are_bytes_or_a_list_and_polygons_are_decoded() -> None:
    half = np.zeros((4, 6), bool)
    half[:, :3] = True
    encoded = encode_mask(half)
    as_bytes = {**encoded, "counts": encoded["counts"].encode()}
    as_list = {**encoded, "counts": [0, 12, 12]}
    for segmentation in (as_bytes, as_list, [[0, 0, 3, 0, 3, 4, 0, 4]]):
        np.testing.assert_array_equal(decode_mask(segmentation, 4, 6), half)
