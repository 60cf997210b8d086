"""What the runners of torch's own formats share; needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class TorchRunner:
    """A loaded module that takes tensors and gives a tuple of tensors.

    Args:
        module: the module.
        num_threads: of torch, in this whole process; None leaves them as they are.
    """

    def __init__(self, module: Any, num_threads: int | None = None) -> None:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self.module = module

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for inputs in theirs."""
        with torch.no_grad():
            outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(value)) for value in inputs.values()))
        return [output.numpy() for output in outputs]
