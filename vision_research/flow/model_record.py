"""What is logged beside an exported model, so that it is an MLflow model."""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.work_dir import WorkDir

SERVED_SUFFIX = ".ts"


def served_model_files(artifact: Path, work_dir: WorkDir) -> list[Path]:
    """Write what makes of an artifact an MLflow model, where MLflow can serve it; any other stays a plain file.

    Args:
        artifact: the exported model, its manifest beside it.
        work_dir: folder of the run; the files stay there until they are delivered.

    Returns:
        The files, to be logged into the folder that artifact and manifest are logged to.
    """
    manifest = artifact.with_name(f"{artifact.name}.json")
    if artifact.suffix != SERVED_SUFFIX or not artifact.is_file() or not takes_images(manifest):
        return []
    from vision_research.tracking.model_folder import write_model_files

    folder = work_dir.export_dir / "mlflow" / artifact.stem
    return write_model_files(artifact, manifest, folder, example_image())


def takes_images(manifest: Path) -> bool:
    """Whether an artifact takes images as they are, and not the network's tensor."""
    return bool(json.loads(manifest.read_text(encoding="utf-8"))["input"].get("layout") == "HWC")


def example_image() -> bytes:
    """Return a small PNG file: grey with a light rectangle, no picture of anybody's."""
    import cv2
    import numpy as np

    image = np.full((64, 96, 3), 96, np.uint8)
    image[16:48, 24:72] = 224
    return bytes(cv2.imencode(".png", image)[1])
