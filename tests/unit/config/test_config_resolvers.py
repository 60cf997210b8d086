"""The resolvers that YAML files use."""

from __future__ import annotations

import pytest

from vision_research.config.resolvers import first, wh


def test_sizes_turn_round_and_grow() -> None:
    assert wh([320, 416]) == [416, 320]
    assert wh([320, 416], 2) == [832, 640]


def test_a_size_that_is_no_pair_is_named() -> None:
    with pytest.raises(ValueError, match=r"image_size=\[256\]: is \[height, width\].*Type image_size=\[640,640\]"):
        wh([256])


def test_the_first_value_that_is_set_counts() -> None:
    assert first(None, 0, 5) == 0
    assert first(None, None) is None
