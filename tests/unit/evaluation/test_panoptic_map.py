"""Segment maps as PNG files."""

from __future__ import annotations

import numpy as np
import pytest

from vision_research.datasets.coco.panoptic_png import decode_map, encode_map


def test_ids_of_three_bytes_survive_the_png() -> None:
    ids = np.array([[0, 1, 255], [256, 70_000, 16_777_215]])
    assert (decode_map(encode_map(ids)) == ids).all()
    with pytest.raises(ValueError, match="no PNG"):
        decode_map(b"no picture")
