"""The forms of the exported detector that take several images at once.

Images of a batch have one size. Their detections come padded to the largest count among them: boxes and scores of zero,
labels of -1. Written for `torch.jit.script` and for `torch.export`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.deploy.modules import ExportedDetector


class BatchDetector(nn.Module):
    """Images of one size in, their detections out, padded.

    Args:
        detector: for one image.
        batch: how many images; 0 takes any number.
    """

    def __init__(self, detector: ExportedDetector, batch: int) -> None:
        super().__init__()
        self.detector = detector
        self.batch = batch

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            images: (B, H, W, 3) uint8, BGR as OpenCV reads it, any size.

        Returns:
            Boxes (B, K, 4) float32, xyxy, pixels of the image; scores (B, K) float32, descending; labels (B, K) int64;
            and counts (B,) int64, of which K is the largest.
        """
        tensors, clip, scale_factor = self.detector.preprocess.batch(images)  # type: ignore[operator]
        return self.detect(tensors, clip, scale_factor)

    def detect(
        self, tensors: Tensor, clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect from the normalised tensors on, (B, 3, h, w) float32; otherwise as `forward`."""
        if self.batch > 0 and tensors.size(0) != self.batch:
            raise ValueError(f"expected {self.batch} images, got {tensors.size(0)}")
        maps = self.detector.network(tensors)
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        labels: list[Tensor] = []
        for index in range(tensors.size(0)):
            one = [level[index : index + 1] for level in maps]
            found = self.detector.forward_maps(one, clip, scale_factor)
            boxes.append(found[0])
            scores.append(found[1])
            labels.append(found[2])
        return pad(boxes, scores, labels)


class TensorBatchDetector(BatchDetector):
    """Normalised tensors in, their detections out, padded, in pixels of the tensors."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From (B, 3, h, w) float32 to boxes, scores, labels and counts, as `BatchDetector.forward`."""
        return self.detect(images, (images.size(2), images.size(3)), (1.0, 1.0))


def pad(boxes: list[Tensor], scores: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bring the detections of several images into one tensor of each kind, and count them."""
    counts = torch.stack([torch.ones_like(found).sum() for found in labels])
    places = torch.arange(counts.max().item(), device=counts.device)
    padded_boxes: list[Tensor] = []
    padded_scores: list[Tensor] = []
    padded_labels: list[Tensor] = []
    for index in range(len(boxes)):
        # Every place past the last detection reads the one row that is put behind it.
        rows = torch.minimum(places, counts[index])
        padded_boxes.append(torch.cat([boxes[index], boxes[index].new_zeros(1, 4)])[rows])
        padded_scores.append(torch.cat([scores[index], scores[index].new_zeros(1)])[rows])
        padded_labels.append(torch.cat([labels[index], labels[index].new_full((1,), -1)])[rows])
    return torch.stack(padded_boxes), torch.stack(padded_scores), torch.stack(padded_labels), counts
