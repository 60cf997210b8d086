"""Runs a `.pt2` file; needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray


class Pt2Runner:
    """A loaded `.pt2` file.

    Args:
        path: the file.
        num_threads: of torch, in this whole process; None leaves them as they are.
    """

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self.module = torch.export.load(path).module()

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        with torch.no_grad():
            outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(value)) for value in inputs.values()))
        return [output.numpy() for output in outputs]
