"""The exported detector for one image: preprocessing, network and postprocessing joined in one module.

Knows how the parts are joined and not what is in them. Written for `torch.jit.script` and for `torch.export`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_research.deploy.families.family import Found, FoundMasks, Scale, Size

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


class ClassThresholds(nn.Module):
    """Selects the detections that reach the lowest score of their class, given by label; None selects all."""

    def __init__(self, lowest: Sequence[float] | None) -> None:
        super().__init__()
        self.gives_all = lowest is None
        self.lowest = nn.Buffer(torch.tensor(tuple(lowest or ()), dtype=torch.float32))

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Select detections.

        Args:
            scores: (N,) float32.
            labels: (N,) int64.

        Returns:
            (K,) int64 indices of those that are given out.
        """
        return torch.nonzero(scores >= self.lowest[labels]).view(-1)


class _Parts(nn.Module):
    """The parts of an exported detector.

    Args:
        preprocess: from an image to the normalised tensor.
        network: from the tensor to maps.
        postprocess: from maps to detections.
        thresholds: selects the detections that are given out.
    """

    def __init__(
        self, preprocess: nn.Module, network: nn.Module, postprocess: nn.Module, thresholds: ClassThresholds
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.postprocess = postprocess
        self.thresholds = thresholds


class ExportedDetector(_Parts):
    """One image in, its detections out."""

    def forward(self, image: Tensor) -> Found:
        """From (H, W, 3) uint8, BGR as OpenCV reads it, any size, to the detections that `Family.postprocess` says."""
        tensor, clip, scale_factor = self.preprocess(image)
        return self.forward_tensor(tensor, clip, scale_factor)

    @torch.jit.export
    def forward_tensor(self, tensor: Tensor, clip: Size, scale_factor: Scale) -> Found:
        """Detect from the normalised tensor on.

        Args:
            tensor: (1, 3, h, w) float32, normalised and padded.
            clip: height and width at which boxes are clipped, pixels of the tensor.
            scale_factor: pixels of the tensor per pixel of the image (x, y).
        """
        return self.forward_maps(self.network(tensor), clip, scale_factor)

    @torch.jit.export
    def forward_maps(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """Detect from the network's maps of one image on.

        Args:
            maps: as the family's network gives them.
            clip: as for `forward_tensor`.
            scale_factor: as for `forward_tensor`.
        """
        boxes, scores, labels = self.postprocess(maps, clip, scale_factor)
        if not self.thresholds.gives_all:
            chosen = self.thresholds(scores, labels)
            boxes, scores, labels = boxes[chosen], scores[chosen], labels[chosen]
        return boxes, scores, labels


class ExportedMaskDetector(_Parts):
    """One image in, its detections out, with a mask for each."""

    def forward(self, image: Tensor) -> FoundMasks:
        """As `ExportedDetector.forward`; and masks (N, H, W) bool, pixels of the image."""
        tensor, clip, scale_factor = self.preprocess(image)
        return self.forward_tensor(tensor, clip, scale_factor, (image.size(0), image.size(1)))

    @torch.jit.export
    def forward_tensor(self, tensor: Tensor, clip: Size, scale_factor: Scale, image_size: Size) -> FoundMasks:
        """As `ExportedDetector.forward_tensor`, with the height and width of the masks."""
        return self.forward_maps(self.network(tensor), clip, scale_factor, image_size)

    @torch.jit.export
    def forward_maps(self, maps: list[Tensor], clip: Size, scale_factor: Scale, image_size: Size) -> FoundMasks:
        """As `ExportedDetector.forward_maps`, with the height and width of the masks."""
        boxes, scores, labels, masks = self.postprocess(maps, clip, scale_factor, image_size)
        if not self.thresholds.gives_all:
            chosen = self.thresholds(scores, labels)
            boxes, scores, labels, masks = boxes[chosen], scores[chosen], labels[chosen], masks[chosen]
        return boxes, scores, labels, masks


class TensorDetector(nn.Module):
    """The normalised tensor of one image in, its detections out, in pixels of that tensor."""

    def __init__(self, detector: ExportedDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> Found:
        """From (1, 3, h, w) float32 to boxes, scores and labels, as `ExportedDetector.forward`."""
        return self.detector.forward_tensor(tensor, (tensor.size(2), tensor.size(3)), (1.0, 1.0))


class TensorMaskDetector(nn.Module):
    """As `TensorDetector`, with a mask for each detection."""

    def __init__(self, detector: ExportedMaskDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> FoundMasks:
        """From (1, 3, h, w) float32 to boxes, scores, labels and masks, as `ExportedMaskDetector.forward`."""
        size = (tensor.size(2), tensor.size(3))
        return self.detector.forward_tensor(tensor, size, (1.0, 1.0), size)
