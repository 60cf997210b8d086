"""Writes the files that make an exported model an MLflow model."""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.config.command_rules import SERVED_SUFFIX
from vision_research.work_dir import WorkDir


def served_model_files(artifact: Path, work_dir: WorkDir) -> list[Path]:
    """Write the files that MLflow needs to load and serve an exported model.

    Args:
        artifact: the exported model, with its manifest beside it.
        work_dir: folder of the run; the files stay there until they are delivered.

    Returns:
        The files, to be logged into the same folder as artifact and manifest; none where MLflow cannot serve the model.
    """
    manifest = artifact.with_name(f"{artifact.name}.json")
    if artifact.suffix != SERVED_SUFFIX or not artifact.is_file() or not _takes_images(manifest):
        return []
    from vision_research.tracking.model_folder import write_model_files

    folder = work_dir.export_dir / "mlflow" / artifact.stem
    return write_model_files(artifact, manifest, folder, _example_image())


def _takes_images(manifest: Path) -> bool:
    """Tell from a manifest whether a model takes images as they are, and not the preprocessed tensor."""
    return bool(json.loads(manifest.read_text(encoding="utf-8"))["input"].get("layout") == "HWC")


def _example_image() -> bytes:
    """Return a small synthetic PNG file, grey with a light rectangle, as the model's input example."""
    import cv2
    import numpy as np

    image = np.full((64, 96, 3), 96, np.uint8)
    image[16:48, 24:72] = 224
    return bytes(cv2.imencode(".png", image)[1])
