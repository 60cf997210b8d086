"""Runs an ONNX file; needs onnxruntime alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Runner:
    """A loaded ONNX file, on the CPU."""

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for the one input."""
        (value,) = inputs.values()
        outputs: list[NDArray[np.generic]] = self.session.run(None, {self.input_name: np.ascontiguousarray(value)})
        return outputs
