"""RoIAlign in plain torch against mmcv's compiled op: equal to the last bit."""

from __future__ import annotations

import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from vision_research.ops.roi_align import roi_align
from vision_research.ops.roi_pooling import map_roi_levels


def random_rois(count: int, size: float, seed: int = 0) -> Tensor:
    """RoIs of all sizes, some across the border, one outside, one empty."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * size * 1.1 - 20
    rois = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) ** 2 * size], 1)
    rois[0] = torch.tensor([size * 2, size * 2, size * 2 + 30, size * 2 + 30])
    rois[1, 2:] = rois[1, :2]
    return rois


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 3])
@pytest.mark.parametrize(("height", "width", "stride"), [(20, 33, 8), (3, 1, 32)])
def test_pooled_values_equal_mmcv(aligned: bool, sampling_ratio: int, height: int, width: int, stride: int) -> None:
    feature = torch.randn(5, height, width, generator=torch.Generator().manual_seed(1))
    rois = random_rois(60, float(width * stride))
    pool = RoIAlign((7, 4), 1 / stride, sampling_ratio, "avg", aligned)
    expected = pool(feature[None], torch.cat([torch.zeros(len(rois), 1), rois], 1))

    got = roi_align(
        feature[None], rois, torch.zeros(len(rois), dtype=torch.int64), (7, 4), 1 / stride, sampling_ratio, aligned
    )

    assert torch.equal(got, expected)


def test_no_rois_give_an_empty_result() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert roi_align(torch.rand(1, 5, 8, 8), torch.zeros(0, 4), none, (7, 7), 0.25).shape == (0, 5, 7, 7)


def test_rois_read_the_level_that_mmdetection_assigns() -> None:
    rois = random_rois(200, 900.0)
    # Sizes on the edges between levels.
    rois[2:6] = torch.tensor([[0.0, 0.0, side, side] for side in (112.0, 224.0, 448.0, 111.99)])
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}
    extractor = SingleRoIExtractor(layer, 5, [4, 8, 16, 32])

    expected = extractor.map_roi_levels(torch.cat([torch.zeros(len(rois), 1), rois], 1), 4)

    assert torch.equal(map_roi_levels(rois, 4, 56.0), expected)
    assert set(expected.tolist()) == {0, 1, 2, 3}
