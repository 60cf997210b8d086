"""All formats of exported models: one entry each, with everything that the rest of the package asks about it.

An entry names no runtime and imports none, so that commands start fast and a consumer process imports one runtime
alone. The code of a format lies in its folder: `writer.write(job, path)` writes a file, `runner.Runner(path,
num_threads)` runs one; each is imported when it is first needed. A new format is a folder of its own, an entry here,
and a member of `ExportFormat`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EXPORT_EXTRA = "pip install 'vision-research[export]'"


class Runner(Protocol):
    """A loaded artifact."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        ...


@dataclass(frozen=True)
class ExportedFormat:
    """One format.

    Attributes:
        name: of the format, of its folder, and of the member of `ExportFormat` in the schema.
        suffix: of its file.
        runtime: the package that runs a file, as pip installs it; a consumer imports no other.
        precisions: that it can be written in.
        same_kernels: whether its runtime runs the kernels that the detector in Python runs, so that the artifact must
            give equal results; otherwise it is held to the bounds of other kernels.
        any_batch: whether one file takes any number of images.
        settable_thresholds: whether `score_thr` and `max_per_img` of a loaded file can be set, and whether it can run
            from the normalised tensor on; its runner then has `set_thresholds` and `run_tensor`.
        weights_suffix: of a second file with the weights beside the first; empty where there is none.
        writer_packages: modules that writing it imports, besides torch.
        int8_packages: further ones for int8.
        install: what a person types to get them.
    """

    name: str
    suffix: str
    runtime: str
    precisions: tuple[str, ...]
    same_kernels: bool = False
    any_batch: bool = False
    settable_thresholds: bool = False
    weights_suffix: str = ""
    writer_packages: tuple[str, ...] = ()
    int8_packages: tuple[str, ...] = ()
    install: str = EXPORT_EXTRA

    def write(self, job: Any, path: Path) -> None:
        """Write a file.

        Args:
            job: the `formats.job.Job` to write.
            path: the file.

        Raises:
            ExportError: the detector cannot be written in this format.
        """
        self._module("writer").write(job, path)

    def load(self, path: str, num_threads: int | None = None) -> Runner:
        """Load a file; raises whatever the runtime raises for a file that it cannot read.

        Args:
            path: the file.
            num_threads: of one run, or of torch in this whole process; None leaves it to the runtime.
        """
        runner: Runner = self._module("runner").Runner(path, num_threads)
        return runner

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{__package__}.{self.name}.{name}")


_FORMATS = (
    # One file that needs torch alone, in Python or in C++.
    ExportedFormat(
        name="torchscript",
        suffix=".ts",
        runtime="torch",
        precisions=("fp32", "fp16", "bf16"),
        same_kernels=True,
        any_batch=True,
        settable_thresholds=True,
    ),
    # Torch's own exported program, which `torch.export.load` reads where there is torch alone.
    ExportedFormat(name="pt2", suffix=".pt2", runtime="torch", precisions=("fp32", "fp16", "bf16"), same_kernels=True),
    # With its own operators for suppression and RoI pooling.
    ExportedFormat(
        name="onnx",
        suffix=".onnx",
        runtime="onnxruntime",
        precisions=("fp32", "fp16", "int8"),
        writer_packages=("onnx", "onnxscript", "onnxruntime"),
    ),
    # An `.xml` with the graph and a `.bin` with the weights beside it, converted from ONNX.
    ExportedFormat(
        name="openvino",
        suffix=".xml",
        runtime="openvino",
        precisions=("fp32", "fp16", "int8"),
        weights_suffix=".bin",
        writer_packages=("onnx", "onnxscript", "onnxruntime", "openvino"),
        int8_packages=("nncf",),
    ),
    # An engine for the GPU of the machine that wrote it, built from ONNX.
    ExportedFormat(
        name="tensorrt",
        suffix=".engine",
        runtime="tensorrt",
        precisions=("fp32", "fp16"),
        writer_packages=("onnx", "onnxscript", "tensorrt"),
        install=f"{EXPORT_EXTRA} tensorrt, on a machine with an NVIDIA GPU",
    ),
)
FORMATS = {entry.name: entry for entry in _FORMATS}
SUFFIXES = {entry.suffix: entry for entry in _FORMATS}


def format_of(path: Path) -> ExportedFormat:
    """The format of a file, by its suffix, which must be one of `SUFFIXES`."""
    return SUFFIXES[path.suffix]
