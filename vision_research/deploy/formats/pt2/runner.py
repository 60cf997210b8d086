"""Runs a `.pt2` file; needs torch alone."""

from __future__ import annotations

import torch

from vision_research.deploy.formats.torch_runner import TorchRunner


class Runner(TorchRunner):
    """A loaded `.pt2` file.

    Args:
        path: the file.
        num_threads: of torch, in this whole process; None leaves them as they are.
    """

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        super().__init__(torch.export.load(path).module(), num_threads)
