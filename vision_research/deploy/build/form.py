"""What an exported detector takes and gives, besides which detector it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Form:
    """What an exported detector takes and gives, besides which detector it is.

    Attributes:
        batch: number of images at once; None takes any number.
        preprocess: whether it takes images, or else the normalised tensor.
        precision: of the network: fp32, fp16 or bf16.
        lowest_scores: detections of each class are given out from this score on, in the order of the labels; None gives
            out all.
        fuse: for TorchScript alone: whether batch norms are folded into convolutions and the network computes in
            channels-last order.
    """

    batch: int | None = 1
    preprocess: bool = True
    precision: str = "fp32"
    lowest_scores: tuple[float, ...] | None = None
    fuse: bool = False
