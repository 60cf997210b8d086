"""Calibrates the convolutions of an ONNX file to int8 on validation images; everything else stays in float."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.quiet_calibration import quiet_calibration


def quantize_onnx(job: Job, path: Path) -> None:
    """Quantize an ONNX file in place, with QuantizeLinear and DequantizeLinear around convolutions.

    Convolutions alone: the last bit of an anchor's coordinates decides a suppression, a convolution's does not.

    Args:
        job: gives the images to calibrate on.
        path: the file.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(job.images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {job.input_name: job.inputs_for(image).numpy()}

    with tempfile.TemporaryDirectory() as folder, quiet_calibration():
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
