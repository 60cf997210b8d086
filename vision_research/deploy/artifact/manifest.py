"""The manifest beside an exported model: JSON that describes the model to those who run or audit it.

Knows nothing of how the model was made (`deploy/description.py` fills the manifest in).
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision_research.work_dir import write_json

OUTPUT = {
    "boxes": "(N, 4) float32, xyxy, pixels of the image given",
    "scores": "(N,) float32, descending",
    "labels": "(N,) int64, index into classes",
}


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what an artifact computes.

    They are read from the modules, since forks of MMDetection have other distribution names.
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
        input: what the model takes, and what it does to it (`describe_input`).
        thresholds: score_thr, nms_iou and max_per_img that are built in, and per_class where there are thresholds for
            classes.
        checkpoint: file name and sha256.
        run_id: of the tracked run, where there is one.
        verification: tolerances, what was measured, and on which images; None where the check was switched off.
        output: what the model gives.
        versions: of the packages that made the artifact.
        format: of the artifact.
        precision: of the network.
        batch: images at once; None takes any number.
        format_version: of this manifest.
    """

    artifact: dict[str, Any]
    detector: str
    classes: list[str]
    input: dict[str, Any]
    thresholds: dict[str, Any]
    checkpoint: dict[str, str]
    run_id: str | None
    verification: dict[str, Any] | None
    output: dict[str, str] = field(default_factory=lambda: dict(OUTPUT))
    versions: dict[str, str] = field(default_factory=package_versions)
    format: str = "torchscript"
    precision: str = "fp32"
    batch: int | None = 1
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


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
