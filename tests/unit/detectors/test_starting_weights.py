"""Weights to start from: fetched once, checked by the hash in their name, and told what of them fits."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import nn

from vision_research.config.errors import ConfigError, EnvironmentProblem, UserError
from vision_research.detectors.pretrained import ensure_pretrained, ensure_weights, resolve_source
from vision_research.detectors.weights_report import weights_report


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a real web server, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], str]:
    def save(content: object) -> str:
        torch.save(content, tmp_path / "weights.pth")
        return str(tmp_path / "weights.pth")

    return save


@pytest.mark.slow
def test_a_file_is_downloaded_once_and_checked_by_the_hash_in_its_name(
    served: tuple[str, Path], torch_home: Path
) -> None:
    address, folder = served
    buffer = io.BytesIO()
    torch.save({"state_dict": {"w": torch.ones(2)}}, buffer)
    name = f"detector_20200101-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(buffer.getvalue())
    found = ensure_weights(f"{address}/{name}", "model.weights=coco")
    assert found == torch_home / name
    (folder / name).unlink()
    assert ensure_weights(f"{address}/{name}", "model.weights=coco") == found


@pytest.mark.slow
def test_a_file_that_is_not_what_its_name_says_is_refused_and_not_kept(
    served: tuple[str, Path], torch_home: Path
) -> None:
    address, folder = served
    (folder / "detector-01234567.pth").write_bytes(b"cut short")
    with pytest.raises(EnvironmentProblem, match="invalid hash") as raised:
        ensure_weights(f"{address}/detector-01234567.pth", "model.weights=coco")
    assert str(raised.value).startswith("model.weights=coco: http://127.0.0.1")
    assert not list(torch_home.glob("*"))


def test_an_address_that_does_not_answer_is_refused_with_both_ways_on(torch_home: Path) -> None:
    with pytest.raises(EnvironmentProblem) as raised:
        ensure_weights("http://127.0.0.1:9/detector.pth", "model.weights=http://127.0.0.1:9/detector.pth")
    assert "model.weights=none" in str(raised.value)
    assert f"copy the file from a machine that has it to {torch_home / 'detector.pth'}" in str(raised.value)


def test_torchvision_names_lead_to_an_address_without_torchvision() -> None:
    assert resolve_source("torchvision://resnet50").startswith("https://download.pytorch.org/models/resnet50-")
    with pytest.raises(EnvironmentProblem, match="torchvision://resnet51: there are no such weights"):
        resolve_source("torchvision://resnet51")


def test_the_report_names_what_is_taken_missing_unexpected_and_of_another_shape(
    saved: Callable[[object], str],
) -> None:
    detector = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 10), "neck": nn.Linear(1, 1)})
    given = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 80), "rpn": nn.Linear(1, 1, bias=False)})
    file = saved({"state_dict": {f"module.{key}": value for key, value in given.state_dict().items()}})
    assert weights_report(detector, file, ("cat",)).splitlines() == [
        f"starting from {file}: 2 of 6 tensors",
        "  other shape head.weight  80x3 in the file, 10x3 here",
        "  other shape head.bias  80 in the file, 10 here",
        "  missing     neck.weight",
        "  missing     neck.bias",
        "  unexpected  rpn.weight",
        "  what is missing or of another shape starts as a new detector's (the class heads, where classes differ)",
    ]


def test_the_report_warns_of_classes_whose_outputs_get_another_meaning(saved: Callable[[object], str]) -> None:
    detector = nn.Linear(2, 2)
    file = saved({"state_dict": detector.state_dict(), "meta": {"dataset_meta": {"classes": ("dog", "cat")}}})
    assert weights_report(detector, file, ("cat", "dog")).splitlines()[1:] == [
        "  its classes were dog, cat; the same outputs now mean cat, dog"
    ]
    assert len(weights_report(detector, file, ("dog", "cat")).splitlines()) == 1


def test_a_checkpoint_of_another_detector_is_refused(saved: Callable[[object], str]) -> None:
    file = saved({"state_dict": nn.Conv2d(1, 1, 3).state_dict()})
    with pytest.raises(ConfigError, match=r"nothing in .*weights.pth fits Linear: it holds weight and so on"):
        weights_report(nn.Linear(7, 7, bias=False), file, ("cat",))


def test_a_file_that_would_run_code_is_not_unpickled(saved: Callable[[object], str], tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    file = saved({"state_dict": {}, "trap": Trap()})
    with pytest.raises(UserError, match="was not unpickled: .* Training never unpickles more"):
        weights_report(nn.Linear(1, 1), file, ("cat",))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "file", "prefix", "wrapped"),
    [
        ("./mocov2_r50_800ep_pretrain.pth", "moco_v2_800ep_pretrain.pth.tar", "module.encoder_q.", True),
        ("./swav_800ep_pretrain.pth.tar", "swav_800ep_pretrain.pth.tar", "module.", False),
    ],
)
def test_a_backbone_trained_without_labels_is_taken_out_of_its_published_file(
    name: str, file: str, prefix: str, wrapped: bool, torch_home: Path
) -> None:
    from mmdet.models import ResNet
    from mmengine.runner import load_checkpoint

    torch.manual_seed(3)
    given = ResNet(depth=18).state_dict()
    published: dict[str, object] = {f"{prefix}{key}": value for key, value in given.items()}
    published |= {"other.fc.weight": torch.ones(1), f"{prefix}fc.weight": torch.ones(1)}
    torch_home.mkdir(parents=True)
    torch.save({"epoch": 800, "state_dict": published} if wrapped else published, torch_home / file)
    backbone = ResNet(depth=18)
    load_checkpoint(backbone, ensure_pretrained(name, "model.weights=backbone"), map_location="cpu", strict=False)
    assert all(torch.equal(value, given[key]) for key, value in backbone.state_dict().items())
    assert ensure_pretrained(name, "model.weights=backbone").startswith(str(torch_home))


def test_the_weights_of_one_detector_are_counted_for_a_teacher_and_its_student(
    saved: Callable[[object], str],
) -> None:
    """MMDetection's semi-supervised detectors give them to both."""
    pair = nn.ModuleDict({"teacher": nn.Linear(2, 3), "student": nn.Linear(2, 3)})
    assert "4 of 4 tensors" in weights_report(pair, saved({"state_dict": nn.Linear(2, 3).state_dict()}), ())
    assert "4 of 4 tensors" in weights_report(pair, saved({"state_dict": pair.state_dict()}), ())
