"""Writes ONNX, with its own operators for suppression and RoI pooling."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.graph import export_program
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.operators import OPSET, translations
from vision_research.ops.looped import LoopedSoftNms
from vision_research.ops.native import NativeNms, NativeRoiPooling
from vision_research.ops.nms import BatchedNms
from vision_research.ops.roi_pooling import RoiPooling
from vision_research.ops.soft_nms import BatchedSoftNms


def write(job: Job, path: Path) -> None:
    """Write the file.

    Args:
        job: what to write.
        path: the file.

    Raises:
        ExportError: torch.export or torch.onnx cannot write the detector.
    """
    write_float(job, path)
    if job.precision == "int8":
        from vision_research.deploy.formats.onnx.int8 import quantize_onnx

        quantize_onnx(job, path)


def write_float(job: Job, path: Path) -> None:
    """Write the file without quantization, for this format or for one that is converted from it.

    Args:
        job: what to write; keeps the file's bytes.
        path: the file.

    Raises:
        ExportError: torch.export or torch.onnx cannot write the detector.
    """
    if "onnx" not in job.written:
        _export(job, path)
        job.written["onnx"] = path.read_bytes()
    path.write_bytes(job.written["onnx"])


def _export(job: Job, path: Path) -> None:
    program = export_program(job, {BatchedNms: NativeNms, BatchedSoftNms: LoopedSoftNms, RoiPooling: NativeRoiPooling})
    with _quiet():
        try:
            written = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[job.input_name],
                output_names=job.output_names,
                custom_translation_table=translations(),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ExportError(
                f"torch.onnx cannot write {type(job.detector).__name__}: {reason} Type export.formats=[torchscript,pt2]"
            ) from error
        assert written is not None
        written.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's warnings that torchvision is missing, which is not needed, and those of its internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
