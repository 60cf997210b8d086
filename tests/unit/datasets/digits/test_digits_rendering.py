"""What images are composed of."""

from __future__ import annotations

import numpy as np

from vision_research.datasets.digits.rendering import glyph_indices


def test_no_glyph_is_in_two_splits() -> None:
    splits = [np.concatenate(glyph_indices(split)) for split in ("train", "val", "test")]

    assert sum(map(len, splits)) == len(np.unique(np.concatenate(splits))) == 1797
    assert len(splits[0]) > 1200
    assert min(len(indices) for split in ("train", "val", "test") for indices in glyph_indices(split)) > 20
