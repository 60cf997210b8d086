"""TorchScript: one file that needs torch alone, in Python or in C++."""

from __future__ import annotations

from vision_research.deploy.formats.exported_format import ExportedFormat

TORCHSCRIPT = ExportedFormat(
    name="torchscript",
    suffix=".ts",
    runtime="torch",
    precisions=("fp32", "fp16", "bf16"),
    same_kernels=True,
    any_batch=True,
    settable_thresholds=True,
)
