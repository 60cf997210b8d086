"""Runs a `.pt2` file; needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class Runner:
    """A loaded `.pt2` file; `num_threads` are torch's, in this whole process."""

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self.module = self._load(path)

    def _load(self, path: str) -> Any:
        return torch.export.load(path).module()

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        with torch.no_grad():
            outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(value)) for value in inputs.values()))
        return [output.numpy() for output in outputs]
