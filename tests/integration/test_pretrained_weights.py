"""A training that starts from the weights of a backbone, as the zoo file names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vision_research.engine.weights import resolve_source

pytestmark = pytest.mark.slow


@pytest.fixture
def resnet18_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of ResNet-18 weights where torch keeps what it has downloaded from torchvision's address."""
    from mmdet.models import ResNet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / Path(resolve_source("torchvision://resnet18")).name
    file.parent.mkdir(parents=True)
    torch.manual_seed(7)
    backbone = ResNet(depth=18)
    backbone.init_weights()
    torch.save(backbone.state_dict(), file)
    return file


def test_a_training_starts_from_the_backbone_weights_of_the_zoo_file(workplace, resnet18_file: Path) -> None:  # noqa: ANN001
    printed = workplace.run(
        "model=zoo/retinanet/retinanet_r18_fpn_1x_coco",
        "model.weights=backbone",
        "aug=none",
        "tracking=none",
        "export=none",
        "schedule.max_epochs=1",
        "work_dir=pretrained",
    )

    assert "FINISHED" in printed
    given = torch.load(resnet18_file, weights_only=True)
    trained = torch.load(workplace.folder / "pretrained" / "epoch_1.pth", weights_only=False)["state_dict"]
    # The zoo file freezes the stem and the first stage: what was loaded is still there, and the rest has moved.
    assert torch.equal(trained["backbone.conv1.weight"], given["conv1.weight"])
    assert torch.equal(trained["backbone.layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])
    last = trained["backbone.layer4.1.conv2.weight"]
    assert not torch.equal(last, given["layer4.1.conv2.weight"])
    assert torch.allclose(last, given["layer4.1.conv2.weight"], atol=0.05)
