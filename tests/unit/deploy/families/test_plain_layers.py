"""The balanced pyramid that graphs use gives the numbers of MMDetection's."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.necks import BFP
from torch.nn import functional

from vision_research.deploy.families.plain_layers import plain_layers, pool_to


@pytest.mark.parametrize("cells", [(8, 12), (9, 13), (7, 1), (33, 50)])
@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_pooling_by_halvings_is_adaptive_pooling(cells: tuple[int, int], halvings: int) -> None:
    level = torch.rand(1, 3, *cells)
    size = [-(-side // 2**halvings) for side in cells]

    assert torch.equal(pool_to(level, size, halvings), functional.adaptive_max_pool2d(level, size))


def test_a_balanced_pyramid_is_the_same_for_graphs() -> None:
    pyramid = BFP(in_channels=4, num_levels=4, refine_level=1, refine_type="non_local").eval()
    levels = [torch.rand(1, 4, *size) for size in ((20, 28), (10, 14), (5, 7), (3, 4))]
    with torch.no_grad():
        expected = pyramid(levels)
        with plain_layers():
            balanced = pyramid(levels)

    for ours, theirs in zip(balanced, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
