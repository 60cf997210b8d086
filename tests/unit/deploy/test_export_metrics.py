"""What the check of exported models measured, from their manifests to metrics and to lines of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vision_research.deploy.export_metrics import describe_export, export_metrics

MEASURED = {"max_box_difference_px": 0.25, "max_score_difference": 0.005}


def test_each_verified_format_has_its_metrics(tmp_path: Path) -> None:
    checked = {
        "from_image": MEASURED,
        "from_tensor": None,
        "unmatched_share": 0.002,
        "median_seconds": {"python": 0.2, "artifact": 0.1},
        "average_precision": {"artifact": 0.51, "python": 0.52},
    }
    for name, suffix, verification in (("onnx", "onnx", checked), ("torchscript", "ts", None)):
        manifest = {"format": name, "artifact": {"size_bytes": 2_000_000}, "verification": verification}
        (tmp_path / f"model.{suffix}.json").write_text(json.dumps(manifest))
    (tmp_path / "request.json").write_text("{}")

    assert export_metrics(tmp_path) == {
        "onnx": {
            "box_difference_px": 0.25,
            "score_difference": 0.005,
            "unmatched_share": 0.002,
            "seconds": 0.1,
            "seconds_python": 0.2,
            "size_mb": 2.0,
            "mAP": 0.51,
            "mAP_python": 0.52,
        }
    }


def test_an_artifact_that_takes_the_tensor_is_measured_from_there(tmp_path: Path) -> None:
    checked = {
        "from_image": None,
        "from_tensor": MEASURED,
        "unmatched_share": 0.0,
        "median_seconds": {"python": 0.2, "artifact": 0.1},
        "average_precision": None,
    }
    manifest = {"format": "pt2", "artifact": {"size_bytes": 1}, "verification": checked}
    (tmp_path / "model.pt2.json").write_text(json.dumps(manifest))

    assert export_metrics(tmp_path)["pt2"]["box_difference_px"] == 0.25


def manifest_of(**checked: Any) -> dict[str, Any]:
    whole = {
        "from_image": MEASURED,
        "from_tensor": None,
        "num_images": 4,
        "unmatched_share": 0.0,
        "average_precision": None,
    }
    return {"artifact": {"size_bytes": 2_500_000}, "verification": {**whole, **checked}}


def test_a_model_that_was_not_verified_has_its_size_alone() -> None:
    unverified = {"artifact": {"size_bytes": 2_500_000}, "verification": None}
    assert describe_export(Path("/e/model.ts"), unverified) == "artifact  /e/model.ts  (2.5 MB)"


def test_differences_are_those_from_the_image_or_else_from_the_tensor() -> None:
    verified = "verified  boxes within 0.25 px, scores within 0.005 of the detector in Python, on 4 images"
    assert describe_export(Path("m.ts"), manifest_of()).splitlines()[1:] == [verified]
    from_tensor = manifest_of(from_image=None, from_tensor=MEASURED)
    assert describe_export(Path("m.ts"), from_tensor).splitlines()[1:] == [verified]


def test_unmatched_detections_and_precision_are_told() -> None:
    precision = {"artifact": 0.51, "python": 0.52, "num_images": 100}
    lines = describe_export(
        Path("m.onnx"), manifest_of(unmatched_share=0.002, average_precision=precision)
    ).splitlines()
    assert lines[1].endswith("; 0.20% of the detections have no partner")
    assert lines[2] == "mAP       0.5100, the detector's 0.5200, on 100 images"
