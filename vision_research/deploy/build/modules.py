"""The exported detector for one image: preprocessing, network and postprocessing joined in one module.

Knows how the parts are joined and not what is in them. Written for `torch.jit.script` and for `torch.export`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ClassThresholds(nn.Module):
    """Selects the detections that reach the lowest score of their class.

    Args:
        lowest: score of each class, in the order of the labels; None selects all.
    """

    def __init__(self, lowest: Sequence[float] | None) -> None:
        super().__init__()
        self.gives_all = lowest is None
        self.lowest: Tensor
        self.register_buffer("lowest", torch.tensor(tuple(lowest or ()), dtype=torch.float32))

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Select detections.

        Args:
            scores: (N,) float32.
            labels: (N,) int64.

        Returns:
            (K,) int64 indices of those that are given out.
        """
        if self.gives_all:
            return torch.arange(scores.size(0), device=scores.device)
        return torch.nonzero(scores >= self.lowest[labels]).view(-1)


class LowPrecision(nn.Module):
    """A network in lower precision whose input and outputs are float32.

    Args:
        network: with parameters of that precision.
        dtype: the precision.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From a (B, 3, h, w) float32 tensor to float32 maps; maps of whole numbers keep their type."""
        return [level.float() if level.is_floating_point() else level for level in self.network(tensor.to(self.dtype))]


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

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: (H, W, 3) uint8, BGR as OpenCV reads it, any size.

        Returns:
            Boxes (N, 4) float32, xyxy, pixels of the image; scores (N,) float32, descending; labels (N,) int64.
        """
        tensor, clip, scale_factor = self.preprocess(image)
        return self.forward_tensor(tensor, clip, scale_factor)

    @torch.jit.export
    def forward_tensor(
        self, tensor: Tensor, clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect from the normalised tensor on.

        Args:
            tensor: (1, 3, h, w) float32, normalised and padded.
            clip: height and width at which boxes are clipped, pixels of the tensor.
            scale_factor: pixels of the tensor per pixel of the image (x, y).

        Returns:
            As `forward`.
        """
        return self.forward_maps(self.network(tensor), clip, scale_factor)

    @torch.jit.export
    def forward_maps(
        self, maps: list[Tensor], clip: tuple[int, int], scale_factor: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detect from the network's maps of one image on.

        Args:
            maps: as the family's network gives them.
            clip: as for `forward_tensor`.
            scale_factor: as for `forward_tensor`.

        Returns:
            As `forward`.
        """
        boxes, scores, labels = self.postprocess(maps, clip, scale_factor)
        if not self.thresholds.gives_all:
            chosen = self.thresholds(scores, labels)
            boxes, scores, labels = boxes[chosen], scores[chosen], labels[chosen]
        return boxes, scores, labels


class ExportedMaskDetector(_Parts):
    """One image in, its detections out, with a mask for each."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: (H, W, 3) uint8, BGR as OpenCV reads it, any size.

        Returns:
            As `ExportedDetector.forward`; and masks (N, H, W) bool, pixels of the image.
        """
        tensor, clip, scale_factor = self.preprocess(image)
        return self.forward_tensor(tensor, clip, scale_factor, (image.size(0), image.size(1)))

    @torch.jit.export
    def forward_tensor(
        self, tensor: Tensor, clip: tuple[int, int], scale_factor: tuple[float, float], image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect from the normalised tensor on.

        Args:
            tensor: (1, 3, h, w) float32, normalised and padded.
            clip: height and width at which boxes are clipped, pixels of the tensor.
            scale_factor: pixels of the tensor per pixel of the image (x, y).
            image_size: height and width of the masks.

        Returns:
            As `forward`.
        """
        return self.forward_maps(self.network(tensor), clip, scale_factor, image_size)

    @torch.jit.export
    def forward_maps(
        self, maps: list[Tensor], clip: tuple[int, int], scale_factor: tuple[float, float], image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect from the network's maps of one image on.

        Args:
            maps: as the family's network gives them.
            clip: as for `forward_tensor`.
            scale_factor: as for `forward_tensor`.
            image_size: as for `forward_tensor`.

        Returns:
            As `forward`.
        """
        boxes, scores, labels, masks = self.postprocess(maps, clip, scale_factor, image_size)
        if not self.thresholds.gives_all:
            chosen = self.thresholds(scores, labels)
            boxes, scores, labels, masks = boxes[chosen], scores[chosen], labels[chosen], masks[chosen]
        return boxes, scores, labels, masks


class TensorDetector(nn.Module):
    """The normalised tensor of one image in, its detections out, in pixels of that tensor.

    Args:
        detector: an `ExportedDetector`.
    """

    def __init__(self, detector: ExportedDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From (1, 3, h, w) float32 to boxes, scores and labels, as `ExportedDetector.forward`."""
        return self.detector.forward_tensor(tensor, (tensor.size(2), tensor.size(3)), (1.0, 1.0))


class TensorMaskDetector(nn.Module):
    """As `TensorDetector`, with a mask for each detection.

    Args:
        detector: an `ExportedMaskDetector`.
    """

    def __init__(self, detector: ExportedMaskDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From (1, 3, h, w) float32 to boxes, scores, labels and masks, as `ExportedMaskDetector.forward`."""
        size = (tensor.size(2), tensor.size(3))
        return self.detector.forward_tensor(tensor, size, (1.0, 1.0), size)
