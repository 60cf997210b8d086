"""What the writer of a format gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.modules import Form
from vision_research.deploy.build.preprocess import Preprocess


@dataclass(frozen=True)
class Job:
    """One detector to write.

    Attributes:
        detector: built by MMDetection, weights loaded, on the CPU.
        spec: its preprocessing.
        form: what the artifact takes and gives. Its precision is fp32 for int8, which the writer applies.
        precision: the precision asked for.
        gives_masks: whether the detector gives masks.
        images: (H, W, 3) uint8 BGR; the first is used for tracing, all for calibration.
        written: files that a later format reuses: the ONNX file, which OpenVINO and TensorRT are converted from.
    """

    detector: Any
    spec: InputSpec
    form: Form
    precision: str
    gives_masks: bool
    images: Sequence[NDArray[np.uint8]]
    written: dict[str, bytes] = field(default_factory=dict, compare=False)

    @property
    def input_name(self) -> str:
        """Name of the one input."""
        single = "image" if self.form.preprocess else "tensor"
        return single if self.form.batch == 1 else f"{single}s"

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in their order."""
        names = ["boxes", "scores", "labels"]
        return names + ["masks"] * self.gives_masks + ["counts"] * (self.form.batch != 1)

    def inputs_for(self, image: NDArray[np.uint8]) -> Tensor:
        """The artifact's input for an (H, W, 3) uint8 BGR image; a batch holds it as often as the batch needs."""
        taken = torch.from_numpy(image)
        if not self.form.preprocess:
            with torch.no_grad():
                taken = Preprocess(self.spec)(taken)[0]
        elif self.form.batch != 1:
            taken = taken[None]
        return taken if self.form.batch == 1 else torch.cat([taken] * (self.form.batch or 2))
