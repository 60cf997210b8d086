"""Loading an exported model: what it predicts, and what is said of a file that is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vision_research.deploy.artifact.runtime import load_artifact
from vision_research.deploy.errors import ExportError
from vision_research.deploy.export import export_detector
from vision_research.deploy.request import ExportRequest

Picture = Callable[..., NDArray[np.uint8]]
Trained = Callable[..., tuple[Path, Path]]


def read(path: Path, trust: bool) -> Mapping[str, Any]:
    del trust
    checkpoint: Mapping[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


@pytest.mark.slow
def test_a_model_predicts_as_its_module_does_and_knows_its_classes(
    trained: Trained, picture: Picture, tmp_path: Path
) -> None:
    config, checkpoint = trained("retinanet")
    path = tmp_path / "model.ts"
    export_detector(ExportRequest(config, checkpoint, path, verify=False), read)

    artifact = load_artifact(path)
    found = artifact.predict(picture(3, 80, 120))

    boxes, scores, labels = torch.jit.load(path)(torch.from_numpy(picture(3, 80, 120)))
    assert artifact.classes == ["ring", "disc", "bar"]
    assert len(found.scores) > 0
    assert torch.equal(found.boxes, boxes) and torch.equal(found.scores, scores) and torch.equal(found.labels, labels)
    with pytest.raises(ExportError, match=r"takes an \(H, W, 3\) uint8 BGR image, not float64 of shape \(4, 4\)"):
        artifact.predict(np.zeros((4, 4)))


@pytest.mark.slow
@pytest.mark.fault("an exported model that is truncated or another file", "refused before it is loaded")
def test_a_truncated_model_and_a_foreign_one_are_refused_in_one_line(trained: Trained, tmp_path: Path) -> None:
    config, checkpoint = trained("retinanet")
    path = tmp_path / "model.ts"
    export_detector(ExportRequest(config, checkpoint, path, verify=False), read)
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(ExportError, match=r"model.ts is not the model that model.ts.json describes: it is truncated"):
        load_artifact(path)

    torch.jit.script(torch.nn.Identity()).save(str(path))
    with pytest.raises(ExportError, match=r"model.ts is not the model that model.ts.json describes"):
        load_artifact(path)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("model.pth", "its suffix must be one of .*.ts"),
        ("other.ts", "There is no exported model at .*other.ts; python -m vision_research.export makes one"),
        ("lonely.ts", "lonely.ts has no manifest: .*lonely.ts.json is missing; copy it along"),
        ("odd.ts", "odd.ts.json is no manifest of an exported model"),
    ],
)
def test_what_is_no_exported_model_is_named(tmp_path: Path, name: str, complaint: str) -> None:
    for present in ("lonely.ts", "odd.ts"):
        (tmp_path / present).write_bytes(b"no model")
    (tmp_path / "odd.ts.json").write_text("{}")

    with pytest.raises(ExportError, match=complaint):
        load_artifact(tmp_path / name)


@pytest.mark.slow
def test_a_model_for_batches_predicts_one_image_too_and_one_for_tensors_none(
    trained: Trained, picture: Picture, tmp_path: Path
) -> None:
    config, checkpoint = trained("retinanet")
    words = {"single": {}, "pair": {"batch": 2}, "any": {"batch": None}, "tensor": {"preprocess": False}}
    for name, asked in words.items():
        export_detector(ExportRequest(config, checkpoint, tmp_path / f"{name}.ts", verify=False, **asked), read)

    single, pair, any_number = (
        load_artifact(tmp_path / f"{name}.ts").predict(picture(3, 80, 120)) for name in ("single", "pair", "any")
    )

    assert len(single.scores) > 0
    for found in (pair, any_number):
        assert torch.equal(found.labels, single.labels) and torch.allclose(found.boxes, single.boxes, atol=1e-2)
    with pytest.raises(ExportError, match="tensor.ts takes the normalised tensor.* export.preprocess=true"):
        load_artifact(tmp_path / "tensor.ts")
