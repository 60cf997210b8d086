"""The whole export: files in, files out, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from vision_research.deploy.artifact.manifest import Manifest, manifest_path, sha256
from vision_research.deploy.errors import ExportError
from vision_research.deploy.export import export_detector
from vision_research.deploy.formats.registry import format_of
from vision_research.deploy.formats.torchscript import writer
from vision_research.deploy.request import ExportRequest
from vision_research.detectors.weights import WeightsError

Trained = Callable[..., tuple[Path, Path]]


def read(path: Path, trust: bool) -> dict[str, Any]:
    del trust
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["retinanet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rtmdet", "faster_rcnn"))]
)
def test_a_detector_becomes_a_verified_file_with_its_manifest(family: str, trained: Trained, tmp_path: Path) -> None:
    config, checkpoint = trained(family)
    output = tmp_path / "export" / "model.ts"

    (exported,) = export_detector(ExportRequest(config, checkpoint, output, num_images=8, run_id="abc"), read)
    manifest = exported.manifest

    assert files(output.parent) == ["model.ts", "model.ts.json"]
    assert Manifest.read(manifest_path(output)) == manifest
    assert manifest.classes == ["ring", "disc", "bar"]
    assert manifest.run_id == "abc"
    assert manifest.artifact == {"file": "model.ts", "sha256": sha256(output), "size_bytes": output.stat().st_size}
    assert manifest.checkpoint == {"file": "best.pth", "sha256": sha256(checkpoint)}
    verification = manifest.verification
    assert verification is not None
    # Eight validation images, one turned, one small, noise, the black one, once more with nothing found in it, and the
    # crowded one.
    names = [image["name"] for image in verification["images"]]
    assert len(names) == verification["num_images"] == 14
    counts = {name: image["num_detections"] for name, image in zip(names, verification["images"], strict=True)}
    assert counts[names[-2]] == 0 and names[-2].startswith("an all-black image")
    assert counts[names[-1]] >= 200 and names[-1].startswith("a collage")
    assert verification["from_tensor"]["max_box_difference_px"] <= 0.01
    assert verification["from_image"]["max_box_difference_px"] <= 0.01
    assert verification["from_image"]["max_score_difference"] <= 1e-4


@pytest.mark.slow
def test_nothing_is_left_when_the_artifact_differs(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, checkpoint = trained("retinanet")
    build = writer.build_exported

    def build_shifted(*args: Any) -> torch.jit.ScriptModule:
        module = build(*args)
        module.preprocess.mean.add_(1.0)
        return module

    monkeypatch.setattr(writer, "build_exported", build_shifted)

    with pytest.raises(ExportError, match="does not predict what the detector does") as error:
        export_detector(ExportRequest(config, checkpoint, tmp_path / "export" / "model.ts", num_images=1), read)

    assert "from the raw image on" in str(error.value)
    assert "from the normalised tensor on" not in str(error.value)
    assert files(tmp_path / "export") == []


@pytest.mark.slow
def test_a_fixed_shape_and_a_threshold_are_built_in_and_verified(trained: Trained, tmp_path: Path) -> None:
    config, checkpoint = trained("retinanet")
    request = ExportRequest(config, checkpoint, tmp_path / "m.ts", shape=(96, 160), score_thr=0.3, num_images=2)

    manifest = export_detector(request, read)[0].manifest

    assert manifest.input["canvas"] == {"height": 96, "width": 160}
    assert manifest.thresholds == {"score_thr": 0.3, "nms_iou": 0.5, "max_per_img": 100}


@pytest.mark.slow
@pytest.mark.parametrize("preprocess", [True, False])
def test_a_shape_that_the_network_cannot_take_is_padded_inside(
    preprocess: bool, trained: Trained, tmp_path: Path
) -> None:
    config, checkpoint = trained("rtmdet")
    request = ExportRequest(
        config,
        checkpoint,
        tmp_path / "m.ts",
        formats=("torchscript", "onnx"),
        shape=(100, 150),
        preprocess=preprocess,
        num_images=3,
    )

    script, graph = export_detector(request, read)

    assert graph.manifest.verification is not None and graph.manifest.verification["num_detections"] > 100
    tensor = torch.rand(1, 3, 100, 150)
    for one in (script, graph):
        taken = tensor.numpy() if not preprocess else np.full((100, 150, 3), 90, np.uint8)
        boxes = format_of(one.path).load(str(one.path), 1).run({"input": taken})[0]
        assert len(boxes) > 10
        # Clipped at the canvas, and not at the 128 x 160 pixels that the network sees.
        assert boxes.min() >= 0 and boxes[:, 0::2].max() <= 150 and boxes[:, 1::2].max() <= 100
    if not preprocess:
        size = script.manifest.input["size"]
        assert size["smallest"] == size["largest"] == [100, 150] and size["divisor"] == 1


@pytest.mark.slow
def test_another_class_list_is_refused_by_name_and_nothing_else_is_printed(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, checkpoint = trained("retinanet", classes=("ring", "bar", "disc"))

    with pytest.raises(WeightsError, match="trained on the classes ring, bar, disc, but .* has ring, disc, bar"):
        export_detector(ExportRequest(config, checkpoint, tmp_path / "export" / "m.ts"), read)
    assert files(tmp_path / "export") == []
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_checkpoint_of_another_detector_is_refused_by_its_keys(trained: Trained, tmp_path: Path) -> None:
    _, foreign = trained("yolox")
    foreign = foreign.rename(tmp_path / "foreign.pth")
    config, _ = trained("retinanet")

    with pytest.raises(
        WeightsError, match="not a checkpoint of the config's RetinaNet: it lacks backbone.conv1.weight"
    ):
        export_detector(ExportRequest(config, foreign, tmp_path / "m.ts"), read)


@pytest.mark.slow
def test_an_unsupported_detector_is_refused_before_anything_is_read(trained: Trained, tmp_path: Path) -> None:
    path, checkpoint = trained("retinanet")
    config = Config.fromfile(path)
    config.model.bbox_head = {"type": "GARetinaHead", "num_classes": 3, "in_channels": 32}
    config.model.train_cfg = None
    config.dump(path)
    checkpoint.unlink()

    with pytest.raises(ExportError, match="RetinaNet cannot be exported") as error:
        export_detector(ExportRequest(path, checkpoint, tmp_path / "m.ts"), read)

    assert "GARetinaHead has its own _predict_by_feat_single" in str(error.value)
    assert "Faster R-CNN" in str(error.value) and "export=none" in str(error.value)


def test_a_file_in_the_place_of_the_folder_is_named(trained: Trained, tmp_path: Path) -> None:
    config, checkpoint = trained("retinanet")
    (tmp_path / "file").write_text("")

    with pytest.raises(ExportError, match="Cannot write .*m.ts"):
        export_detector(ExportRequest(config, checkpoint, tmp_path / "file" / "m.ts"), read)


@pytest.mark.slow
def test_an_unverified_export_says_so_in_the_manifest(trained: Trained, tmp_path: Path) -> None:
    config, checkpoint = trained("retinanet")

    export_detector(ExportRequest(config, checkpoint, tmp_path / "m.ts", verify=False), read)

    assert json.loads((tmp_path / "m.ts.json").read_text())["verification"] is None
