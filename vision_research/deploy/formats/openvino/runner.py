"""Runs an OpenVINO `.xml` with its `.bin`; needs openvino alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino
from numpy.typing import NDArray


class Runner:
    """A loaded OpenVINO model, on the CPU."""

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        # By default OpenVINO computes in bfloat16 on processors that have it.
        settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            settings["INFERENCE_NUM_THREADS"] = num_threads
        self.model = openvino.Core().compile_model(path, "CPU", settings)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for the one input."""
        (value,) = inputs.values()
        results = self.model(np.ascontiguousarray(value))
        return [np.array(results[output]) for output in self.model.outputs]
