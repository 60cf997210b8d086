"""ONNX, with its own operators for suppression and RoI pooling."""

from __future__ import annotations

from vision_research.deploy.formats.exported_format import ExportedFormat

ONNX = ExportedFormat(
    name="onnx",
    suffix=".onnx",
    runtime="onnxruntime",
    precisions=("fp32", "fp16", "int8"),
    writer_packages=("onnx", "onnxscript", "onnxruntime"),
)
