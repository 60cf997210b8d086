"""What a detector finds in an image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Detections(NamedTuple):
    """The detections of one image.

    Attributes:
        boxes: (N, 4) float32, xyxy, pixels of the image.
        scores: (N,) float32.
        labels: (N,) int64.
        masks: (N, H, W) bool, pixels of the image; None where the detector gives boxes alone.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def chosen(self, index: Tensor) -> Detections:
        """The detections at (K,) int64 indices, or those where an (N,) bool mask is true."""
        masks = None if self.masks is None else self.masks[index]
        return Detections(self.boxes[index], self.scores[index], self.labels[index], masks)
