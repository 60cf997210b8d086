"""OpenVINO: an `.xml` with the graph and a `.bin` with the weights beside it, converted from ONNX."""

from __future__ import annotations

from vision_research.deploy.formats.exported_format import ExportedFormat

OPENVINO = ExportedFormat(
    name="openvino",
    suffix=".xml",
    runtime="openvino",
    precisions=("fp32", "fp16", "int8"),
    weights_suffix=".bin",
    writer_packages=("onnx", "onnxscript", "onnxruntime", "openvino"),
    int8_packages=("nncf",),
)
