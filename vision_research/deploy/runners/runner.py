"""What a runner offers, and which one runs a file of which suffix."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runner(Protocol):
    """A loaded artifact."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        ...


@dataclass(frozen=True)
class RunnerEntry:
    """Where a format's runner lies.

    Attributes:
        module: of this package.
        name: of the class in it.
        package: what pip installs for it.
    """

    module: str
    name: str
    package: str

    def load(self, path: str, num_threads: int | None = None) -> Runner:
        """Load a file; raises what the runtime raises."""
        module = importlib.import_module(f"vision_research.deploy.runners.{self.module}")
        runner: Runner = getattr(module, self.name)(path, num_threads)
        return runner


RUNNERS = {
    ".ts": RunnerEntry("torchscript", "TorchScriptRunner", "torch"),
    ".pt2": RunnerEntry("pt2", "Pt2Runner", "torch"),
    ".onnx": RunnerEntry("onnx", "OnnxRunner", "onnxruntime"),
    ".xml": RunnerEntry("openvino", "OpenVinoRunner", "openvino"),
    ".engine": RunnerEntry("tensorrt", "TensorRtRunner", "tensorrt"),
}
