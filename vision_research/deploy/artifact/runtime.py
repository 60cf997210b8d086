"""Runs an exported model of any format in this process: `load_artifact(path).predict(image)`.

A runtime that is not installed is named together with the line that installs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.artifact.manifest import Manifest, manifest_path, sha256
from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.registry import SUFFIXES, Runner, format_of


@dataclass(frozen=True)
class Artifact:
    """An exported model, loaded.

    Attributes:
        path: of the file.
        manifest: as it lies beside the file.
        runner: runs the file in the runtime of its format.
    """

    path: Path
    manifest: Manifest
    runner: Runner

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the labels."""
        return self.manifest.classes

    def predict(self, image: NDArray[np.uint8]) -> Detections:
        """Detect in an (H, W, 3) uint8 image, BGR as OpenCV reads it, of any size.

        Raises:
            ExportError: the array is no such image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ExportError(
                f"{self.path.name} takes an (H, W, 3) uint8 BGR image, not {image.dtype} of shape {image.shape}."
            )
        if self.manifest.batch == 1:
            return _detections(self.runner.run({"image": image}))
        images = np.stack([image] * (self.manifest.batch or 1))
        *padded, counts = self.runner.run({"images": images})
        return _detections([output[0, : int(counts[0])] for output in padded])


def load_artifact(path: Path) -> Artifact:
    """Load an exported model, whose suffix tells the format, and its manifest.

    Raises:
        ExportError: there is no such file, its suffix is of no format, it has no readable manifest, its runtime is not
            installed, the runtime refuses the file, it is another model than the manifest's, or it takes no images.
    """
    if path.suffix not in SUFFIXES:
        raise ExportError(f"{path} is no exported model: its suffix must be one of {', '.join(sorted(SUFFIXES))}.")
    if not path.is_file():
        raise ExportError(f"There is no exported model at {path}; python -m vision_research.export makes one.")
    manifest = _read_manifest(path)
    if manifest.input.get("layout") != "HWC":
        raise ExportError(
            f"{path.name} takes the normalised tensor, not images. Export it again with export.preprocess=true."
        )
    # Before it is loaded: the file of an exported program (.pt2) is unpickled.
    if sha256(path) != manifest.artifact["sha256"]:
        raise ExportError(
            f"{path.name} is not the model that {manifest_path(path).name} describes: it is truncated or another file. "
            "Copy both together, or export it again."
        )
    try:
        runner = format_of(path).load(str(path))
    except ImportError as error:
        runtime = format_of(path).runtime
        raise ExportError(f"{path.name} runs in {runtime}, which is not installed: pip install {runtime}.") from error
    except Exception as error:
        # Runtimes have no common exception class for files that they refuse.
        lines = str(error).strip().splitlines()
        # The first sentence: the rest is torch's advice to authors of the file.
        reason = lines[-1].partition(". ")[0] if lines else type(error).__name__
        raise ExportError(
            f"{path} cannot be loaded ({reason}). It is of another version or no exported model: export it again."
        ) from error
    return Artifact(path, manifest, runner)


def _detections(outputs: Sequence[NDArray[np.generic]]) -> Detections:
    return Detections(*(torch.from_numpy(output) for output in outputs))


def _read_manifest(path: Path) -> Manifest:
    beside = manifest_path(path)
    if not beside.is_file():
        raise ExportError(f"{path.name} has no manifest: {beside} is missing; copy it along with the model.")
    try:
        return Manifest.read(beside)
    except (ValueError, TypeError) as error:
        raise ExportError(f"{beside} is no manifest of an exported model: {error}.") from error
