"""Writes ONNX, with its own operators for suppression and RoI pooling."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.graph import export_program
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.operators import OPSET, translations
from vision_research.deploy.formats.quiet import quiet
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
        _quantize(job, path)


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
    with quiet():
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


def _quantize(job: Job, path: Path) -> None:
    """Quantize a file in place, with QuantizeLinear and DequantizeLinear around convolutions.

    Convolutions alone: the last bit of an anchor's coordinates decides a suppression, a convolution's does not.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(job.images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {job.input_name: job.inputs_for(image).numpy()}

    with tempfile.TemporaryDirectory() as folder, quiet():
        quantized = Path(folder, path.name)
        quantize_static(
            str(path),
            str(quantized),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        shutil.move(quantized, path)
