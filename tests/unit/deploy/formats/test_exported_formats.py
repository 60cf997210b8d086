"""Files of every format: written, reloaded where their runtime alone is imported, and held against the detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.artifact.runtime import load_artifact
from vision_research.deploy.check.difference import compare
from vision_research.deploy.errors import ExportError
from vision_research.deploy.export import Exported, export_detector
from vision_research.deploy.formats.registry import format_of
from vision_research.deploy.request import ExportRequest

Trained = Callable[..., tuple[Path, Path]]
Picture = Callable[..., NDArray[np.uint8]]

GRAPHS = ("pt2", "onnx", "openvino")


def read(path: Path, trust: bool) -> dict[str, Any]:
    del trust
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def export(trained: Trained, family: str, folder: Path, **words: Any) -> tuple[Exported, ...]:
    config, checkpoint = trained(family)
    return export_detector(ExportRequest(config, checkpoint, folder / "model.ts", **{"num_images": 3, **words}), read)


@pytest.mark.slow
def test_all_formats_of_a_two_stage_detector_agree_on_images_of_any_size(
    trained: Trained, picture: Picture, tmp_path: Path
) -> None:
    folder = tmp_path / "export"

    exported = export(trained, "faster_rcnn", folder, formats=("torchscript", *GRAPHS))

    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"model{suffix}"
        for suffix in (".bin", ".onnx", ".pt2", ".ts", ".xml", *(".onnx.json", ".pt2.json", ".ts.json", ".xml.json"))
    )
    script, *graphs = (load_artifact(one.path) for one in exported)
    for one, artifact in zip(exported[1:], graphs, strict=True):
        checked = one.manifest.verification
        assert checked is not None and checked["unmatched_share"] <= 0.01
        assert checked["from_image"]["max_box_difference_px"] < 0.5
        assert checked["num_detections"] > 200
        assert checked["average_precision"]["difference"] <= 0.001
        # An image of a size that no check has seen.
        image = picture(11, 77, 203)
        difference = compare(artifact.predict(image), script.predict(image))
        assert (difference.num_got, difference.box_px) == (difference.num_expected, pytest.approx(0, abs=0.01))


@pytest.mark.slow
def test_a_graph_takes_a_batch_within_bounds_and_gives_out_what_reaches_each_class_threshold(
    trained: Trained, picture: Picture, tmp_path: Path
) -> None:
    lowest = {"ring": 0.5, "disc": 0.4, "bar": 0.95}

    script, graph = export(
        trained,
        "retinanet",
        tmp_path,
        formats=("torchscript", "onnx"),
        bounds=((64, 64), (128, 192)),
        batch=2,
        thresholds=tuple(lowest.items()),
    )

    assert graph.manifest.batch == 2 and graph.manifest.thresholds["per_class"] == lowest
    images = np.stack([picture(1), np.zeros_like(picture(1))])
    outputs = [format_of(one.path).load(str(one.path), 1).run({"images": images}) for one in (script, graph)]
    counts = outputs[0][3].tolist()
    assert counts == outputs[1][3].tolist() and max(counts) > 5
    for boxes, scores, labels, _ in outputs:
        assert boxes.shape == (2, max(counts), 4)
        for place, count in enumerate(counts):
            least = np.array([lowest[name] for name in script.manifest.classes])[labels[place, :count]]
            assert (scores[place, :count] >= least).all()
            assert (labels[place, count:] == -1).all() and not scores[place, count:].any()


@pytest.mark.slow
def test_without_preprocessing_the_normalised_tensor_goes_in(trained: Trained, tmp_path: Path) -> None:
    exported = export(trained, "rtmdet", tmp_path, formats=("torchscript", "pt2"), preprocess=False, shape=(96, 160))

    for one in exported:
        assert one.manifest.input["size"] == {"smallest": [96, 160], "largest": [96, 160], "divisor": 1}
        assert one.manifest.verification["from_image"] is None
        assert one.manifest.verification["from_tensor"]["max_box_difference_px"] <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("rtmdet", {}),
        ("rtmdet", {"shape": (100, 150), "formats": ("pt2", "onnx")}),
        ("faster_rcnn", {"shape": (100, 150), "preprocess": False, "formats": ("pt2", "openvino")}),
        ("retinanet", {"batch": 3, "shape": (100, 150)}),
        ("retinanet", {"bounds": ((96, 96), (160, 192)), "formats": ("pt2", "openvino")}),
        ("faster_rcnn", {"preprocess": False, "formats": ("torchscript", "onnx")}),
        ("rtmdet", {"precision": "fp16", "shape": (128, 192)}),
        ("retinanet", {"precision": "int8", "shape": (64, 96), "formats": ("onnx", "openvino")}),
        ("retinanet", {"precision": "bf16", "shape": (64, 96), "formats": ("torchscript", "pt2")}),
    ],
    ids=str,
)
def test_every_form_is_written_and_held_against_the_detector(
    family: str, words: dict[str, Any], trained: Trained, tmp_path: Path
) -> None:
    for one in export(trained, family, tmp_path, **{"formats": ("torchscript", *GRAPHS), **words}):
        assert one.manifest.precision == words.get("precision", "fp32")
        assert one.manifest.verification is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"formats": ("coreml",)}, "export.formats names coreml. Type one of torchscript"),
        ({"formats": ()}, r"No format is asked for. Type export.formats=\[torchscript\]"),
        (
            {"formats": ("onnx",), "precision": "bf16"},
            r"bf16 is not one of onnx's: .* export.formats=\[torchscript,pt2\]",
        ),
        ({"formats": ("pt2",), "batch": None}, "export.batch=dynamic is not for pt2.* Type export.batch=8"),
        ({"formats": ("tensorrt",)}, "tensorrt, for which tensorrt is not installed. Type pip install .*NVIDIA GPU"),
        ({"formats": ("onnx",)}, "model.ts is no name for onnx. Type export.output=.*model.onnx"),
        ({"thresholds": (("cat", 0.5),)}, "thresholds are for the classes cat, but the detector's are ring, disc, bar"),
        ({"bounds": ((100, 96), (128, 192))}, r"multiples of 32 .* Nearest: export.bounds=\[\[96,96\],\[128,192\]\]"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_is_built(
    words: dict[str, Any], complaint: str, trained: Trained, tmp_path: Path
) -> None:
    config, checkpoint = trained("retinanet")
    checkpoint.unlink()
    folder = tmp_path / "export"

    with pytest.raises(ExportError, match=complaint):
        export_detector(ExportRequest(config, checkpoint, folder / "model.ts", **words), read)

    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.slow
def test_a_pipeline_of_one_size_has_no_dynamic_shape(trained: Trained, tmp_path: Path) -> None:
    path, checkpoint = trained("retinanet")
    config = Config.fromfile(path)
    for step in config.test_dataloader.dataset.pipeline:
        if step["type"] == "Resize":
            step["keep_ratio"] = False
    config.dump(path)

    with pytest.raises(ExportError, match=r"every image to 128x192, .* Type export.shape=\[128,192\]"):
        export_detector(ExportRequest(path, checkpoint, tmp_path / "m.ts", bounds=((64, 64), (128, 192))), read)
