"""pt2: torch's own exported program, which `torch.export.load` reads where there is torch alone."""

from __future__ import annotations

from vision_research.deploy.formats.exported_format import ExportedFormat

PT2 = ExportedFormat(name="pt2", suffix=".pt2", runtime="torch", precisions=("fp32", "fp16", "bf16"), same_kernels=True)
