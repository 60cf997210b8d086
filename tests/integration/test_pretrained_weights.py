"""A training that starts from the weights of a backbone, as the zoo file names them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from workplace import Workplace

from vision_research.detectors.pretrained import resolve_source

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


def test_a_training_starts_from_the_backbone_weights_of_the_zoo_file(workplace: Workplace, resnet18_file: Path) -> None:
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


def test_a_training_starts_from_a_run_in_mlflow_with_other_classes(finished: Workplace) -> None:
    run_id = json.loads((finished.folder / "runs" / "one" / "run.json").read_text())["run_id"]
    printed = finished.run(
        f"model.weights=runs:/{run_id}",
        "data.classes=['1','2','3']",
        "tracking=none",
        "export=none",
        "schedule.max_epochs=1",
        "work_dir=second",
    )
    assert re.search(r"starting from \S+\.pth: \d+ of \d+ tensors", printed)
    assert re.search(r"other shape bbox_head\.rtm_cls\.0\.weight  10x\S+ in the file, 3x\S+ here", printed)
    assert "FINISHED" in printed


def test_weights_that_cannot_be_had_stop_the_run_before_it_begins(workplace: Workplace) -> None:
    printed = workplace.run("model.weights=http://127.0.0.1:9/a.pth", "work_dir=none", expect=1)
    assert "model.weights=http://127.0.0.1:9/a.pth: http://127.0.0.1:9/a.pth cannot be downloaded" in printed
    assert not (workplace.folder / "none").exists()
