"""What the check of exported models measured, from their manifests to metrics."""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.deploy.export_metrics import export_metrics

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
