"""An exported model is described by its size and its distance from the detector in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.deploy.export_summary import describe_export

MEASURED = {"max_box_difference_px": 0.25, "max_score_difference": 0.005}


def manifest(**checked: Any) -> dict[str, Any]:
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
    assert describe_export(Path("m.ts"), manifest()).splitlines()[1:] == [verified]
    from_tensor = manifest(from_image=None, from_tensor=MEASURED)
    assert describe_export(Path("m.ts"), from_tensor).splitlines()[1:] == [verified]


def test_unmatched_detections_and_precision_are_told() -> None:
    precision = {"artifact": 0.51, "python": 0.52, "num_images": 100}
    lines = describe_export(Path("m.onnx"), manifest(unmatched_share=0.002, average_precision=precision)).splitlines()
    assert lines[1].endswith("; 0.20% of the detections have no partner")
    assert lines[2] == "mAP       0.5100, the detector's 0.5200, on 100 images"
