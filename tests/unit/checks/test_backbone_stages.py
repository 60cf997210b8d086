"""Stages of a backbone of another library: those that the neck and the anchors are made for, or what to type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from vision_research.checks.backbone_stages import stage_problems


class Stages(nn.Module):
    """Gives maps of (channels, stride), or what is pooled of them."""

    def __init__(self, *stages: tuple[int, int], pooled: bool = False, side_px: int | None = None) -> None:
        super().__init__()
        self.stages, self.pooled, self.side_px = stages, pooled, side_px

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        side = image.shape[-1]
        assert self.side_px in (None, side)
        maps = [torch.zeros(1, channels, side // stride, side // stride) for channels, stride in self.stages]
        return tuple(one.mean((2, 3)) for one in maps) if self.pooled else tuple(maps)


RESNET = ((64, 2), (64, 4), (128, 8), (256, 16), (512, 32))


def problems(
    backbone: nn.Module, in_channels: list[int], start_level: int = 0, kind: str = "mmpretrain.X"
) -> list[str]:
    model: dict[str, Any] = {
        "backbone": {"type": kind, "out_indices": (0, 1, 2, 3)},
        "neck": {"type": "FPN", "in_channels": in_channels, "start_level": start_level},
        "rpn_head": {"anchor_generator": {"strides": [4 << start_level << level for level in range(5)]}},
    }
    return stage_problems(SimpleNamespace(backbone=backbone), model)


@pytest.mark.parametrize("start_level", [0, 1])
def test_stages_of_the_right_strides_and_channels_are_no_problem(start_level: int) -> None:
    assert problems(Stages(*RESNET[1:]), [64, 128, 256, 512], start_level) == []


@pytest.mark.parametrize("start_level", [0, 1])
def test_stages_that_begin_with_the_stem_are_told(start_level: int) -> None:
    (problem,) = problems(Stages(*RESNET[:4]), [64, 64, 128, 256], start_level)
    assert problem.startswith(
        "model.backbone.out_indices=[0, 1, 2, 3]: the backbone's stages have [64, 64, 128, 256] channels at strides "
        "[2, 4, 8, 16], and the head is made for strides ["
    )
    assert "Type the stages that begin at stride 4, for timm's ResNets model.backbone.out_indices=[1,2,3,4]" in problem


def test_a_neck_of_other_channels_is_told() -> None:
    (problem,) = problems(Stages(*RESNET[1:]), [256, 512, 1024, 2048])
    assert problem.startswith(
        "model.neck.in_channels=[256, 512, 1024, 2048]: the backbone's stages have [64, 128, 256, "
    )
    assert problem.endswith("Type model.neck.in_channels=[64,128,256,512]")


def test_a_backbone_that_pools_is_told() -> None:
    (problem,) = problems(Stages(*RESNET[1:], pooled=True), [64, 128, 256, 512])
    assert problem.startswith("model.backbone.type=mmpretrain.X: gives vectors where a detector needs maps")
    assert problem.endswith("+model.backbone.gap_before_final_norm=false")


def test_what_is_mmdetection_s_own_or_takes_another_size_is_left_alone() -> None:
    assert problems(Stages(*RESNET[:4]), [1], kind="ResNet") == []
    assert problems(Stages(*RESNET[:4], side_px=224), [1]) == []


def test_looking_at_a_backbone_leaves_it_as_it_was() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4))
    assert problems(backbone, [4]) == []
    assert backbone.training
    assert backbone[1].num_batches_tracked == 0
