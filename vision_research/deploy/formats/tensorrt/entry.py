"""TensorRT: an engine for the GPU of the machine that wrote it, built from ONNX."""

from __future__ import annotations

from vision_research.deploy.formats.exported_format import EXPORT_EXTRA, ExportedFormat

TENSORRT = ExportedFormat(
    name="tensorrt",
    suffix=".engine",
    runtime="tensorrt",
    precisions=("fp32", "fp16"),
    writer_packages=("onnx", "onnxscript", "tensorrt"),
    install=f"{EXPORT_EXTRA} tensorrt, on a machine with an NVIDIA GPU",
)
