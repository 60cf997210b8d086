"""Exported detectors that take several images at once.

The images of a batch have one size. Their detections are padded to the largest count among them, because one tensor of
each kind suits runtimes and servers: boxes and scores of zero, labels of -1, empty masks; `counts` says how many are
real. Written for `torch.jit.script` and for `torch.export`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.build.modules import ExportedDetector, ExportedMaskDetector
from vision_research.deploy.families.family import Scale, Size


class _Batch(nn.Module):
    """What the detectors for batches share.

    Args:
        detector: for one image.
        batch: number of images; 0 takes any number.
    """

    def __init__(self, detector: ExportedDetector | ExportedMaskDetector, batch: int) -> None:
        super().__init__()
        self.detector: Any = detector
        self.batch = batch

    def images_maps(self, tensors: Tensor) -> list[list[Tensor]]:
        """The network's maps of each image, from the normalised tensors (B, 3, h, w) float32."""
        if self.batch > 0 and tensors.size(0) != self.batch:
            raise ValueError(f"expected {self.batch} images, got {tensors.size(0)}")
        maps = self.detector.network(tensors)
        found: list[list[Tensor]] = []
        for index in range(tensors.size(0)):
            found.append([level[index : index + 1] for level in maps])
        return found


class BatchDetector(_Batch):
    """Images of one size in, their detections out, padded."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From (B, H, W, 3) uint8, BGR as OpenCV reads it, any size, to the detections of all images.

        Boxes (B, K, 4) float32, xyxy, pixels of the image; scores (B, K) float32, descending; labels (B, K) int64; and
        counts (B,) int64, of which K is the largest.
        """
        tensors, clip, scale_factor = self.detector.preprocess.batch(images)
        return self.detect(tensors, clip, scale_factor)

    def detect(self, tensors: Tensor, clip: Size, scale_factor: Scale) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect from the normalised tensors on.

        Args:
            tensors: (B, 3, h, w) float32.
            clip: height and width at which boxes are clipped, pixels of the tensors.
            scale_factor: pixels of the tensors per pixel of the images (x, y).
        """
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        labels: list[Tensor] = []
        for maps in self.images_maps(tensors):
            found = self.detector.forward_maps(maps, clip, scale_factor)
            boxes.append(found[0])
            scores.append(found[1])
            labels.append(found[2])
        rows, counts = padded_rows(labels)
        return pad(boxes, rows, 0.0), pad(scores, rows, 0.0), pad(labels, rows, -1.0), counts


class TensorBatchDetector(BatchDetector):
    """Normalised tensors in, their detections out, padded, in pixels of the tensors."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From (B, 3, h, w) float32 to boxes, scores, labels and counts, as `BatchDetector.forward`."""
        return self.detect(images, (images.size(2), images.size(3)), (1.0, 1.0))


class BatchMaskDetector(_Batch):
    """Images of one size in, their detections out, padded, with a mask for each."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `BatchDetector.forward`, with masks (B, K, H, W) bool, pixels of the image, before the counts."""
        tensors, clip, scale_factor = self.detector.preprocess.batch(images)
        return self.detect(tensors, clip, scale_factor, (images.size(1), images.size(2)))

    def detect(
        self, tensors: Tensor, clip: Size, scale_factor: Scale, image_size: Size
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `BatchDetector.detect`, with the height and width of the masks."""
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        labels: list[Tensor] = []
        masks: list[Tensor] = []
        for maps in self.images_maps(tensors):
            found = self.detector.forward_maps(maps, clip, scale_factor, image_size)
            boxes.append(found[0])
            scores.append(found[1])
            labels.append(found[2])
            masks.append(found[3])
        rows, counts = padded_rows(labels)
        return pad(boxes, rows, 0.0), pad(scores, rows, 0.0), pad(labels, rows, -1.0), pad(masks, rows, 0.0), counts


class TensorBatchMaskDetector(BatchMaskDetector):
    """Normalised tensors in, their detections and masks out, padded, in pixels of the tensors."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """From (B, 3, h, w) float32 to what `BatchMaskDetector.forward` gives."""
        size = (images.size(2), images.size(3))
        return self.detect(images, size, (1.0, 1.0), size)


def padded_rows(labels: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """For each image, the (K,) int64 indices of its detections, padded; and the (B,) int64 counts.

    Places past an image's last detection hold the index after it, where `pad` appends the filler.
    """
    counts = torch.stack([torch.ones_like(found).sum() for found in labels])
    places = torch.arange(counts.max().item(), device=counts.device)
    rows: list[Tensor] = []
    for index in range(len(labels)):
        rows.append(torch.minimum(places, counts[index]))
    return rows, counts


def pad(found: list[Tensor], rows: list[Tensor], filler: float) -> Tensor:
    """Stack what was found in several images into one tensor.

    Args:
        found: (N, ...) of each image.
        rows: (K,) int64 of each image, from `padded_rows`.
        filler: value past an image's last detection.

    Returns:
        (B, K, ...).
    """
    padded: list[Tensor] = []
    for index, values in enumerate(found):
        # torch.jit.script does not support `[1, *sizes]`.
        last = values.new_full([1] + list(values.shape[1:]), filler)  # noqa: RUF005
        padded.append(torch.cat([values, last])[rows[index]])
    return torch.stack(padded)
