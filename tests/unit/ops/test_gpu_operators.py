"""Operators that mmcv has compiled for GPUs alone, in plain torch: held to their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmcv.ops import CARAFE, DeformRoIPool, MaskedConv2d, RoIAlign, RoIPool
from operator_cases import boxes, numbers

from vision_research.ops.mmcv_ext.choice import select
from vision_research.ops.mmcv_ext.losses import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)


@pytest.fixture
def plain() -> None:
    select("plain")


def test_carafe_sums_the_neighbourhood_of_each_source(plain: None) -> None:
    random = np.random.RandomState(0)
    feature, masks = numbers(random, 2, 6, 4, 5), numbers(random, 2, 2 * 9, 8, 10)

    got = CARAFE(3, 2, 2)(feature, masks)

    columns = torch.nn.functional.unfold(feature, 3, padding=1).view(2, 6, 9, 4, 5)
    columns = columns.repeat_interleave(2, 3).repeat_interleave(2, 4).view(2, 2, 3, 9, 8, 10)
    expected = (columns * masks.view(2, 2, 1, 9, 8, 10)).sum(3).view(2, 6, 8, 10)
    torch.testing.assert_close(got, expected)
    mine = torch.autograd.grad(got.square().sum(), (feature, masks))
    torch.testing.assert_close(mine, torch.autograd.grad(expected.square().sum(), (feature, masks)))


def test_a_masked_convolution_is_a_convolution_at_its_positions(plain: None) -> None:
    layer, feature = MaskedConv2d(3, 5, 3, padding=1), torch.randn(1, 3, 6, 7)
    mask = torch.zeros(1, 6, 7)
    mask[0, 2, 3] = mask[0, 0, 6] = 1

    got = layer(feature, mask)

    expected = torch.nn.functional.conv2d(feature, layer.weight, layer.bias, padding=1) * mask
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def touched(start: float, stop: float, index: int, bins: int, size: int) -> range:
    """The cells that a bin touches on one axis."""
    side = (stop - start) / bins
    return range(size)[max(math.floor(start + index * side), 0) : math.ceil(start + (index + 1) * side)]


def test_roi_pool_takes_the_maximum_of_the_cells_that_a_bin_touches(plain: None) -> None:
    random = np.random.RandomState(0)
    feature = numbers(random, 2, 3, 8, 9)
    rois = torch.cat([torch.tensor([[0.0], [1.0], [1.0]]), boxes(random, 3, 40.0)], 1)

    got = RoIPool((2, 3), 0.25)(feature, rois)
    got.sum().backward()

    expected, grad = torch.zeros_like(got), torch.zeros_like(feature)
    for index, (image, *corners) in enumerate(rois.tolist()):
        left, top, right, bottom = corners[0] / 4, corners[1] / 4, (corners[2] + 1) / 4, (corners[3] + 1) / 4
        for row in range(2):
            for column in range(3):
                ys = touched(top, bottom, row, 2, 8)
                xs = touched(left, right, column, 3, 9)
                for channel in range(3):
                    cells = {(y, x): float(feature[int(image), channel, y, x]) for y in ys for x in xs}
                    if cells:
                        best = max(cells, key=lambda cell: cells[cell])
                        expected[index, channel, row, column] = cells[best]
                        grad[(int(image), channel, *best)] += 1
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(feature.grad, grad)


def test_deformable_pooling_without_offsets_is_roi_align(plain: None) -> None:
    random = np.random.RandomState(0)
    feature = numbers(random, 2, 3, 8, 9)
    rois = torch.cat([torch.tensor([[0.0], [1.0], [1.0]]), boxes(random, 3, 40.0)], 1)

    got = DeformRoIPool((2, 3), 0.25, 2)(feature, rois)

    torch.testing.assert_close(got, RoIAlign((2, 3), 0.25, 2)(feature, rois))


def test_focal_losses_are_those_of_their_paper_with_their_derivatives(plain: None) -> None:
    random = np.random.RandomState(0)
    logits, target = numbers(random, 12, 4), torch.from_numpy(random.randint(0, 5, 12))
    weight, empty = torch.tensor([1.0, 2.0, 0.5, 3.0]), torch.zeros(0)

    loss, grad = torch.empty(12, 4), torch.empty(12, 4)
    sigmoid_focal_loss_forward(logits.detach(), target, weight, loss, 2.0, 0.25)
    sigmoid_focal_loss_backward(logits.detach(), target, weight, grad, 2.0, 0.25)
    is_class = torch.nn.functional.one_hot(target, 5)[:, :4].float()
    p = logits.sigmoid()
    pt, at = p * is_class + (1 - p) * (1 - is_class), 0.25 * is_class + 0.75 * (1 - is_class)
    expected = -at * (1 - pt) ** 2 * pt.log() * torch.cat([weight, torch.ones(1)])[target][:, None]
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0])

    labels = target.clamp(max=3)
    loss, grad, buffer = torch.empty(12), torch.empty(12, 4), torch.empty(12)
    probabilities = logits.softmax(1)
    softmax_focal_loss_forward(probabilities.detach(), labels, empty, loss, 2.0, 0.25)
    softmax_focal_loss_backward(probabilities.detach(), labels, empty, buffer, grad, 2.0, 0.25)
    chosen = probabilities.gather(1, labels[:, None])[:, 0]
    expected = -0.25 * (1 - chosen) ** 2 * chosen.log()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0])
