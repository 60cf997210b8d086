"""Writes OpenVINO's `.xml` and the `.bin` with the weights beside it, converted from ONNX."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.writer import write_float
from vision_research.deploy.formats.quiet import quiet


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
            model = _quantize(job, model)
        # The default is True: OpenVINO would silently round fp32 weights to fp16.
        openvino.save_model(model, str(path), compress_to_fp16=job.precision == "fp16")


def _quantize(job: Job, model: Any) -> Any:
    """Calibrate the convolutions of an `openvino.Model` to int8; everything else stays in float."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    kinds = {node.get_type_name() for node in model.get_ops()}
    left = sorted(kinds - {"Convolution", "GroupConvolution", "Constant", "Parameter", "Result"})
    with quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(list(job.images), lambda image: job.inputs_for(image).numpy()),
            subset_size=len(job.images),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=left, validate=False),
        )
