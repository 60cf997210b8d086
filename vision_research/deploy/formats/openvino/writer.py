"""Writes OpenVINO's `.xml` and the `.bin` with the weights beside it, converted from ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.writer import write_float


def write(job: Job, path: Path) -> None:
    """Write both files.

    Args:
        job: what to write.
        path: the `.xml`; the `.bin` lies beside it.

    Raises:
        ExportError: the detector cannot be written as ONNX, or OpenVINO cannot convert that.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "model.onnx")
        write_float(job, graph)
        try:
            model = openvino.convert_model(str(graph))
        except RuntimeError as error:
            # The error's text holds the whole graph; its first line names what is not supported.
            reason = str(error).strip().splitlines()[0]
            raise ExportError(
                f"OpenVINO cannot take {type(job.detector).__name__}: {reason} Type export.formats=[torchscript,onnx]"
            ) from error
        if job.precision == "int8":
            from vision_research.deploy.formats.openvino.int8 import quantize_openvino

            model = quantize_openvino(job, model)
        # The default is True: OpenVINO would silently round fp32 weights to fp16.
        openvino.save_model(model, str(path), compress_to_fp16=job.precision == "fp16")
