"""All formats of exported models. A new one is a folder of its own, a line here, and a member of `ExportFormat`."""

from __future__ import annotations

from pathlib import Path

from vision_research.deploy.formats.exported_format import ExportedFormat
from vision_research.deploy.formats.onnx.entry import ONNX
from vision_research.deploy.formats.openvino.entry import OPENVINO
from vision_research.deploy.formats.pt2.entry import PT2
from vision_research.deploy.formats.tensorrt.entry import TENSORRT
from vision_research.deploy.formats.torchscript.entry import TORCHSCRIPT

FORMATS = {entry.name: entry for entry in (TORCHSCRIPT, PT2, ONNX, OPENVINO, TENSORRT)}
SUFFIXES = {entry.suffix: entry for entry in FORMATS.values()}


def format_of(path: Path) -> ExportedFormat:
    """The format of a file, by its suffix, which must be one of `SUFFIXES`."""
    return SUFFIXES[path.suffix]
