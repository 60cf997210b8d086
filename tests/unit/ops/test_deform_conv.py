"""Deformable convolution in plain torch against mmcv's compiled op."""

from __future__ import annotations

import pytest
import torch
from mmcv.ops import DeformConv2d, modulated_deform_conv2d
from mmcv.ops import deform_conv2d as mmcv_deform_conv2d
from torch import Tensor, nn
from torch.export import Dim

from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.ops.deform_conv import Geometry, deform_conv2d


def random_case(deform_groups: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two images, offsets that also reach outside of the map, and a mask; for a stride of 2."""
    torch.manual_seed(seed)
    feature = torch.randn(2, 8, 11, 14)
    offset = torch.randn(2, deform_groups * 18, 6, 7) * 4
    return feature, offset, torch.rand(2, deform_groups * 9, 6, 7)


@pytest.mark.parametrize(("groups", "deform_groups"), [(1, 1), (2, 1), (1, 4), (4, 2)])
def test_columns_and_product_equal_mmcv(groups: int, deform_groups: int) -> None:
    feature, offset, mask = random_case(deform_groups)
    weight, bias = torch.randn(12, 8 // groups, 3, 3), torch.randn(12)
    geometry = Geometry((3, 3), (2, 2), (1, 1), groups=groups, deform_groups=deform_groups)

    plain = mmcv_deform_conv2d(feature, offset, weight, 2, 1, 1, groups, deform_groups)
    modulated = modulated_deform_conv2d(feature, offset, mask, weight, bias, 2, 1, 1, groups, deform_groups)

    assert torch.allclose(deform_conv2d(feature, offset, weight, None, None, geometry), plain, atol=1e-5)
    assert torch.allclose(deform_conv2d(feature, offset, weight, bias, mask, geometry), modulated, atol=1e-5)


def test_dilated_taps_and_whole_offsets_equal_a_convolution() -> None:
    torch.manual_seed(0)
    feature, weight = torch.randn(1, 4, 9, 9), torch.randn(6, 4, 3, 3)
    offset = torch.zeros(1, 18, 9, 9)

    got = deform_conv2d(feature, offset, weight, None, None, Geometry((3, 3), padding=(2, 2), dilation=(2, 2)))

    expected = torch.nn.functional.conv2d(feature, weight, padding=2, dilation=2)
    assert torch.allclose(got, expected, atol=1e-5)


def test_offsets_of_a_larger_map_are_read_as_mmcv_reads_them() -> None:
    # DyHead convolves a level with the offsets of the next finer one.
    torch.manual_seed(0)
    feature, weight = torch.randn(1, 4, 5, 6), torch.randn(6, 4, 3, 3)
    offset, mask = torch.randn(1, 18, 10, 12), torch.rand(1, 9, 10, 12)

    got = deform_conv2d(feature, offset, weight, None, mask, Geometry((3, 3), padding=(1, 1)))

    assert got.shape == (1, 6, 5, 6)
    assert torch.allclose(got, modulated_deform_conv2d(feature, offset, mask, weight, None, 1, 1), atol=1e-5)


@pytest.mark.slow
def test_a_layer_on_a_map_of_any_size_is_exported_down_to_one_smaller_than_its_kernel() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = DeformConv2d(4, 6, 3, padding=1)

        def forward(self, feature: Tensor, offset: Tensor) -> Tensor:
            with plain_layers():
                return self.layer(feature, offset)

    torch.manual_seed(0)
    layer = Layer()
    rows, columns = Dim("rows", min=1, max=64), Dim("columns", min=1, max=64)
    free = {2: rows, 3: columns}
    example = (torch.randn(1, 4, 7, 8), torch.randn(1, 18, 7, 8))

    graph = torch.export.export(layer, example, dynamic_shapes=(free, free)).module()

    for size in ((1, 1), (2, 5), (9, 6)):
        feature, offset = torch.randn(1, 4, *size), torch.randn(1, 18, *size)
        assert torch.allclose(graph(feature, offset), layer.layer(feature, offset), atol=1e-5), size
