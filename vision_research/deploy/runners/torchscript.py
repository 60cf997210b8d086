"""Runs a TorchScript file; needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray


class TorchScriptRunner:
    """A loaded TorchScript file.

    Args:
        path: the file.
        num_threads: not used, torch's own setting counts.
    """

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        self.module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        with torch.no_grad():
            outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(value)) for value in inputs.values()))
        return [output.numpy() for output in outputs]
