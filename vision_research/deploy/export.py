"""Exports a detector: config and checkpoint in, a verified TorchScript file and its manifest out.

Runs in a process of its own. Either both files are there and agree with the detector, or neither is.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vision_research.deploy.cases import Image, build_cases, load_images
from vision_research.deploy.detector import build_exported, find_family
from vision_research.deploy.errors import ExportError
from vision_research.deploy.manifest import (
    MASKS,
    OUTPUT,
    Manifest,
    describe_artifact,
    describe_input,
    describe_verification,
    manifest_path,
    sha256,
)
from vision_research.deploy.reference import PythonDetector
from vision_research.deploy.request import ExportRequest
from vision_research.deploy.source import load_source
from vision_research.deploy.verify import Verification, verify
from vision_research.deploy.weights import load_weights

__all__ = ["CheckpointReader", "ExportRequest", "export_detector"]

logger = logging.getLogger(__name__)

CheckpointReader = Callable[[Path, bool], Mapping[str, Any]]
"""Reads a checkpoint; the flag says whether the file is trusted."""


def export_detector(request: ExportRequest, read_checkpoint: CheckpointReader) -> Manifest:
    """Export a detector and check the artifact.

    Args:
        request: what to export, and where to.
        read_checkpoint: how checkpoints are read, which storage knows and this package does not.

    Returns:
        The manifest, as written beside the artifact.

    Raises:
        ExportError: the detector is not supported, config and checkpoint do not belong together, the shape does not
            fit, the output cannot be written, or the artifact differs from the detector. No file is left behind then.
    """
    with _temporary_beside(request.output) as temporary:
        source = load_source(request.config)
        family = find_family(source.detector)
        spec = source.input_spec(request.shape)
        checkpoint = read_checkpoint(request.checkpoint, request.trust_checkpoint)
        load_weights(source.detector, checkpoint, source.classes, str(request.checkpoint))
        test_cfg = family.test_cfg(source.detector)
        if request.score_thr is not None:
            test_cfg.score_thr = request.score_thr
        images = load_images(source.dataset, source.pipeline, request.num_images + 1)
        logger.info("Tracing %s.", type(source.detector).__name__)
        build_exported(source.detector, spec, torch.from_numpy(images[0][1])).save(str(temporary))
        reference = PythonDetector(source.detector, source.pipeline, spec, family)
        verification = _verify(temporary, reference, images[1:]) if request.verify else None
        manifest = Manifest(
            artifact=describe_artifact(temporary, request.output.name),
            detector=type(source.detector).__name__,
            classes=source.classes,
            input=describe_input(spec),
            thresholds={
                "score_thr": reference.score_thr,
                "nms_iou": _nms_iou(test_cfg),
                "max_per_img": reference.max_per_img,
            },
            checkpoint={"file": request.checkpoint.name, "sha256": sha256(request.checkpoint)},
            run_id=request.run_id,
            output={**OUTPUT, **(MASKS if family.gives_masks else {})},
            verification=describe_verification(verification) if verification else None,
        )
        temporary.replace(request.output)
    manifest.write(manifest_path(request.output))
    logger.info("Exported %s, %.1f MB.", request.output, manifest.artifact["size_bytes"] / 1e6)
    return manifest


def _nms_iou(test_cfg: Any) -> float | None:
    """The IoU above which a box suppresses another; None where the detector suppresses nothing."""
    nms = test_cfg.get("nms") or {}
    return nms.get("iou_threshold", nms.get("iou_thr"))


@contextmanager
def _temporary_beside(output: Path) -> Iterator[Path]:
    """A file in a hidden folder beside the output; folder and file are gone afterwards, unless the file was renamed."""
    if output.suffix == ".json":
        raise ExportError(f"{output} is where the manifest would lie; name the model otherwise, for instance model.ts.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise ExportError(f"Cannot write {output}: {error.strerror}. Choose another folder for the export.") from error
    with folder as name:
        yield Path(name, output.name)


def _verify(artifact: Path, reference: PythonDetector, images: list[tuple[str, Image]]) -> Verification:
    cases = build_cases(images, reference)
    logger.info("Checking it on %d images, reloaded in a process that has torch alone.", len(cases))
    verification = verify(artifact, reference, cases)
    logger.info(
        "It agrees: boxes within %.2g px, scores within %.2g; %.3f s an image, in Python %.3f s.",
        max(case.from_image.box_px for case in verification.cases),
        max(case.from_image.score for case in verification.cases),
        verification.artifact_s,
        verification.python_s,
    )
    return verification
