"""Writes OpenVINO's `.xml` and the `.bin` with the weights beside it, by way of ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats import onnx
from vision_research.deploy.formats.job import Job


def write(job: Job, path: Path) -> None:
    """Write both files; refusals are those of `export_program`."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "model.onnx")
        onnx.write_float(job, graph)
        try:
            model = openvino.convert_model(str(graph))
        except RuntimeError as error:
            # Its own text is the whole graph's; the first line says what it cannot take.
            reason = str(error).strip().splitlines()[0]
            raise ExportError(
                f"OpenVINO cannot take {type(job.detector).__name__}: {reason} Type export.formats=[torchscript,onnx]"
            ) from error
        if job.precision == "int8":
            from vision_research.deploy.formats.int8 import quantize_openvino

            model = quantize_openvino(job, model)
        # Off by itself it is not: OpenVINO would round fp32 weights to fp16, and say nothing.
        openvino.save_model(model, str(path), compress_to_fp16=job.precision == "fp16")
