"""Runs a TorchScript file; needs torch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.deploy.formats.pt2 import runner


class Runner(runner.Runner):
    """A loaded TorchScript file, which takes and gives what a `.pt2` does."""

    def _load(self, path: str) -> Any:
        return torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def set_thresholds(self, score_thr: float, max_per_img: int | None) -> None:
        """Set the thresholds, which are plain attributes of the scripted postprocessing.

        Args:
            score_thr: detections score more than this.
            max_per_img: at most that many detections; None leaves the limit as it is.
        """
        inner = getattr(self.module, "detector", self.module)
        inner.postprocess.score_thr = score_thr
        if max_per_img is not None:
            inner.postprocess.max_per_img = max_per_img

    def run_tensor(self, tensor: NDArray[np.generic], geometry: Sequence[Sequence[float]]) -> list[NDArray[np.generic]]:
        """Give the outputs from the normalised tensor on.

        Args:
            tensor: (1, 3, h, w) float32.
            geometry: what `forward_tensor` takes after it.
        """
        with torch.no_grad():
            outputs = self.module.forward_tensor(torch.from_numpy(tensor), *map(tuple, geometry))
        return [output.numpy() for output in outputs]
