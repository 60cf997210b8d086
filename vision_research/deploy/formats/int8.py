"""Calibrates convolutions to int8 on images of the validation set.

Nothing but convolutions: decoding, suppression and pooling, and the few values that they turn on, stay in float.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_research.deploy.formats.job import Job


def quantize_onnx(job: Job, path: Path) -> None:
    """Replace an ONNX file by its int8 one (pairs of QuantizeLinear and DequantizeLinear around convolutions)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(job.images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {job.input_name: job.inputs_for(image).numpy()}

    with tempfile.TemporaryDirectory() as folder, _quiet():
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


def quantize_openvino(job: Job, model: Any) -> Any:
    """The int8 model of an OpenVINO one."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    kinds = {node.get_type_name() for node in model.get_ops()}
    left = sorted(kinds - {"Convolution", "GroupConvolution", "Constant", "Parameter", "Result"})
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(list(job.images), lambda image: job.inputs_for(image).numpy()),
            subset_size=len(job.images),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=left, validate=False),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Both draw progress bars, and warn of what is done here on purpose."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
