"""Backbones and re-identification heads of MMPretrain, where it is installed, learn from our data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision_names
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate

from vision_research.checks.preflight import preflight
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

pytestmark = [pytest.mark.extras("mmpretrain"), pytest.mark.slow]
Compose = Callable[..., TrainConfig]
CONVNEXT = (
    "model.backbone.type=mmpretrain.ConvNeXt",
    "+model.backbone.arch=atto",
    "+model.backbone.gap_before_final_norm=false",
    "model.neck.in_channels=[40,80,160,320]",
)


@pytest.fixture(autouse=True)
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision_names.put_in_place(monkeypatch)


def test_a_detector_learns_with_a_backbone_of_mmpretrain(typed: Compose, few_digits: Path, tmp_path: Path) -> None:
    data = (f"data.root={few_digits}", "data.kind=coco", "aug=none", "image_size=[64,64]", "model.weights=none")
    run = specify(typed("model=faster_rcnn", *data, *CONVNEXT))
    tree = lower(run, LoweringInputs(tmp_path, tuple("0123456789"), num_train=12))
    preflight(tree)

    detector, total = one_loss(tree, 2)

    assert torch.isfinite(total)
    gradients = [weight.grad for weight in detector.backbone.parameters() if weight.requires_grad]
    assert gradients and any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def one_loss(tree: dict[str, Any], num_samples: int) -> tuple[Any, torch.Tensor]:
    """Build the detector of a lowered config, and take the gradient of its loss on the first samples."""
    torch.manual_seed(0)
    detector = MODELS.build(ConfigDict(tree["model"]))
    train = DATASETS.build(ConfigDict(tree["train_dataloader"]["dataset"]))
    batch = pseudo_collate([train[index] for index in range(num_samples)])
    total, _ = detector.parse_losses(detector(**detector.data_preprocessor(batch, True), mode="loss"))
    total.backward()
    return detector, total
