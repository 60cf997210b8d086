"""What the writer of a format is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_research.deploy.detector import Form
from vision_research.deploy.input_spec import InputSpec
from vision_research.deploy.preprocess import Preprocess


@dataclass(frozen=True)
class Job:
    """One detector to write.

    Attributes:
        detector: built by MMDetection, weights loaded, on the CPU.
        spec: its preprocessing.
        form: what the artifact takes and gives; int8 is a matter of the format, its form is in fp32.
        precision: as asked.
        gives_masks: whether masks come with the boxes.
        images: (H, W, 3) uint8 BGR; the first is traced on, all are calibrated on.
        written: what one format leaves for the next: the ONNX file, which OpenVINO and TensorRT read.
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
        """Of the one input."""
        single = "image" if self.form.preprocess else "tensor"
        return single if self.form.batch == 1 else f"{single}s"

    @property
    def output_names(self) -> list[str]:
        """In their order."""
        names = ["boxes", "scores", "labels"]
        return names + ["masks"] * self.gives_masks + ["counts"] * (self.form.batch != 1)

    def inputs_for(self, image: NDArray[np.uint8]) -> Tensor:
        """What the artifact takes, for one image; in a batch, as often as it takes."""
        taken = torch.from_numpy(image)
        if not self.form.preprocess:
            with torch.no_grad():
                taken = Preprocess(self.spec)(taken)[0]
        elif self.form.batch != 1:
            taken = taken[None]
        return taken if self.form.batch == 1 else torch.cat([taken] * (self.form.batch or 2))
