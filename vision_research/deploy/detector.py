"""The exported detector: preprocessing, network and postprocessing in one TorchScript module.

Knows the parts and how they join; each family knows its own (`dense`, `two_stage`, `yolox`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.dense import DenseFamily
from vision_research.deploy.families.detr import DetrFamily
from vision_research.deploy.families.family import Family
from vision_research.deploy.families.mask2former import MaskQueryFamily
from vision_research.deploy.families.paa import PaaFamily
from vision_research.deploy.families.solo import SoloFamily
from vision_research.deploy.families.two_stage import TwoStageFamily
from vision_research.deploy.families.yolo_v3 import YoloV3Family
from vision_research.deploy.families.yolox import YoloxFamily
from vision_research.deploy.input_spec import InputSpec
from vision_research.deploy.preprocess import Preprocess
from vision_research.deploy.tracing import largest_difference, script, trace

FAMILIES: tuple[Family, ...] = (
    DenseFamily(),
    PaaFamily(),
    YoloV3Family(),
    YoloxFamily(),
    TwoStageFamily(),
    DetrFamily(),
    SoloFamily(),
    MaskQueryFamily(),
)

# A trace that depends on the size is off by whole cells; the same kernels on the same values differ by nothing at all.
_TRACE_TOLERANCE = 1e-4


class ExportedDetector(nn.Module):
    """One image in, its detections out.

    Args:
        preprocess: from an image to the network's tensor.
        network: from the tensor to maps.
        postprocess: from maps to detections.
    """

    def __init__(self, preprocess: nn.Module, network: nn.Module, postprocess: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.postprocess = postprocess

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
        boxes, scores, labels = self.postprocess(self.network(tensor), clip, scale_factor)
        return boxes, scores, labels


class ExportedMaskDetector(nn.Module):
    """One image in, its detections out, with a mask for each.

    Args:
        preprocess: from an image to the network's tensor.
        network: from the tensor to maps.
        postprocess: from maps to detections.
    """

    def __init__(self, preprocess: nn.Module, network: nn.Module, postprocess: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.postprocess = postprocess

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
        """Detect from the normalised tensor on: as `ExportedDetector.forward_tensor`, into masks of `image_size`."""
        boxes, scores, labels, masks = self.postprocess(self.network(tensor), clip, scale_factor, image_size)
        return boxes, scores, labels, masks


def find_family(detector: Any) -> Family:
    """The family that exports a detector.

    Args:
        detector: a detector built by MMDetection.

    Raises:
        ExportError: none does; the message names the detector, why each family refuses, and where to add one.
    """
    refusals = {family.name: family.refusals(detector) for family in FAMILIES}
    for family in FAMILIES:
        if not refusals[family.name]:
            return family
    listed = "\n".join(f"  - {name}: {'; '.join(reasons)}" for name, reasons in refusals.items())
    raise ExportError(
        f"{type(detector).__name__} cannot be exported. Supported, and why it is not one of them:\n{listed}\n"
        "Turn the export off with export=none, or implement Family (vision_research/deploy/families/family.py) "
        "for its head and add it to FAMILIES in vision_research/deploy/detector.py."
    )


def build_exported(detector: Any, spec: InputSpec, example: Tensor) -> torch.jit.ScriptModule:
    """Make the self-contained module of a detector.

    Args:
        detector: a detector built by MMDetection, weights loaded, on the CPU.
        spec: its preprocessing.
        example: (H, W, 3) uint8 BGR image to trace on.

    Raises:
        ExportError: no family exports this detector, or its network holds for one input size only.
    """
    family = find_family(detector)
    preprocess = Preprocess(spec).eval()
    network = family.network(detector).eval()
    with torch.no_grad():
        tensor, _, _ = preprocess(example)
        traced = trace(network, tensor)
        if spec.canvas is None:
            _check_other_size(traced, network, tensor)
        postprocess = family.postprocess(detector, network(tensor)).eval()
    kind = ExportedMaskDetector if family.gives_masks else ExportedDetector
    return script(kind(preprocess, traced, postprocess))


def _check_other_size(traced: nn.Module, network: nn.Module, tensor: Tensor) -> None:
    """The input follows the image, so the trace must hold for another size: here the transposed one, grown by 64."""
    height, width = tensor.shape[-1] + 64, tensor.shape[-2]
    other = torch.nn.functional.interpolate(tensor, size=(height, width), mode="nearest")
    try:
        difference = largest_difference(traced(other), network(other))
    except RuntimeError:
        difference = float("inf")
    if difference > _TRACE_TOLERANCE:
        raise ExportError(
            f"The network's trace holds for one input size only (off by {difference:.3g} on {height}x{width}). "
            f"Fix the size, for instance: shape={tensor.shape[-2]},{tensor.shape[-1]} (height,width)."
        )
