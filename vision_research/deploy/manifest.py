"""The manifest beside an exported model: what a consumer and an auditor need to know, as JSON.

Pure description; knows nothing of how the model was made.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision_research.deploy.detections import Difference, Tolerance
from vision_research.deploy.input_spec import InputSpec
from vision_research.deploy.verify import FROM_IMAGE, FROM_TENSOR, CaseResult, Verification
from vision_research.work_dir import write_json

OUTPUT = {
    "boxes": "(N, 4) float32, xyxy, pixels of the image given",
    "scores": "(N,) float32, descending",
    "labels": "(N,) int64, index into classes",
}
MASKS = {"masks": "(N, H, W) bool, pixels of the image given"}


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what an artifact computes.

    Asked of the modules and not of their distributions: forks come under other distribution names.
    """
    modules = ("torch", "mmdet", "mmcv", "mmengine", "cv2", "vision_research")
    return {name: str(importlib.import_module(name).__version__) for name in modules}


@dataclass(frozen=True)
class Manifest:
    """What an exported model is, and how closely it follows the detector it was made from.

    Attributes:
        artifact: file name, sha256 and size in bytes.
        detector: class of the detector in Python.
        classes: names, in the order of the labels.
        input: what to feed, and what happens to it (`describe_input`).
        thresholds: score_thr, nms_iou and max_per_img that are built in.
        checkpoint: file name and sha256.
        run_id: of the tracked run, where there is one.
        verification: tolerances, what was measured, on which images; None where the check was switched off.
        output: what comes back.
        versions: of the packages that made the artifact.
        format: of the artifact.
        format_version: of this manifest.
    """

    artifact: dict[str, Any]
    detector: str
    classes: list[str]
    input: dict[str, Any]
    thresholds: dict[str, float | int | None]
    checkpoint: dict[str, str]
    run_id: str | None
    verification: dict[str, Any] | None
    output: dict[str, str] = field(default_factory=lambda: dict(OUTPUT))
    versions: dict[str, str] = field(default_factory=package_versions)
    format: str = "torchscript"
    format_version: int = 1

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def manifest_path(artifact: Path) -> Path:
    """Where the manifest of an artifact lies: `model.onnx.json` beside `model.onnx`, so that formats share a folder."""
    return artifact.with_name(artifact.name + ".json")


def describe_artifact(path: Path, name: str) -> dict[str, Any]:
    """Name, digest and size of a saved model that will be called `name`."""
    return {"file": name, "sha256": sha256(path), "size_bytes": path.stat().st_size}


def describe_input(spec: InputSpec) -> dict[str, Any]:
    """What an exported model takes and does to it.

    Args:
        spec: its preprocessing.
    """
    canvas = None if spec.canvas is None else {"height": spec.canvas[0], "width": spec.canvas[1]}
    rule = f"bilinear as OpenCV resizes {'float32' if spec.resizes_floats else '8-bit'} images, " + (
        "aspect ratio kept: long and short edge within the scale" if spec.keep_ratio else "to the scale"
    )
    return {
        "layout": "HWC",
        "dtype": "uint8",
        "colour_order": "BGR",
        "size": "any",
        "resize": {"scale": list(spec.scale), "keep_ratio": spec.keep_ratio, "rule": rule},
        "canvas": canvas if canvas else "follows the image",
        "padding": {
            "before_normalisation": list(spec.pad_value) if spec.pad_before_normalise else None,
            "divisor": max(spec.pad_divisor, spec.tensor_divisor),
            "to_square": spec.pad_to_square,
            "after_normalisation": spec.tensor_pad_value,
        },
        "normalisation": {"mean": list(spec.mean), "std": list(spec.std), "to_rgb": spec.bgr_to_rgb},
    }


def describe_verification(verification: Verification) -> dict[str, Any]:
    """The tolerances, and what was measured in total and for each image."""
    cases = verification.cases
    return {
        "num_images": len(cases),
        "num_detections": sum(case.from_image.num_expected for case in cases),
        "from_tensor": _measured(FROM_TENSOR, [case.from_tensor for case in cases]),
        "from_image": _measured(FROM_IMAGE, [case.from_image for case in cases]),
        "median_seconds": {"python": round(verification.python_s, 4), "artifact": round(verification.artifact_s, 4)},
        "images": [_describe_case(case) for case in cases],
    }


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measured(allowed: Tolerance, differences: list[Difference]) -> dict[str, float]:
    measured = {
        "max_box_difference_px": max(difference.box_px for difference in differences),
        "max_score_difference": max(difference.score for difference in differences),
        "allowed_box_difference_px": allowed.box_px,
        "allowed_score_difference": allowed.score,
    }
    masks = [difference.mask for difference in differences if difference.mask is not None]
    if masks:
        measured |= {"max_mask_difference": max(masks), "allowed_mask_difference": allowed.mask}
    return measured


def _describe_case(case: CaseResult) -> dict[str, Any]:
    masks = {} if case.from_image.mask is None else {"mask_difference": case.from_image.mask}
    return {
        "name": case.name,
        "num_detections": case.from_image.num_expected,
        "box_difference_px": case.from_image.box_px,
        "score_difference": case.from_image.score,
        **masks,
    }
