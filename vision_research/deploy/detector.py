"""Makes the exported module of a detector: for TorchScript, and for the formats that are written from a graph.

Knows which family exports what; each family knows its parts (`families/`), `modules` and `batches` how they join.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.batches import (
    BatchDetector,
    BatchMaskDetector,
    TensorBatchDetector,
    TensorBatchMaskDetector,
)
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.centernet import CenterNetFamily
from vision_research.deploy.families.dense import DenseFamily
from vision_research.deploy.families.detr import DetrFamily
from vision_research.deploy.families.family import Family
from vision_research.deploy.families.grid_rcnn import GridFamily
from vision_research.deploy.families.htc import HtcFamily
from vision_research.deploy.families.mask2former import MaskQueryFamily
from vision_research.deploy.families.mask_two_stage import MaskTwoStageFamily
from vision_research.deploy.families.paa import PaaFamily
from vision_research.deploy.families.rtmdet_ins import InstanceFamily
from vision_research.deploy.families.solo import SoloFamily
from vision_research.deploy.families.sparse import SparseFamily
from vision_research.deploy.families.two_stage import TwoStageFamily
from vision_research.deploy.families.yolo_v3 import YoloV3Family
from vision_research.deploy.families.yolox import YoloxFamily
from vision_research.deploy.fusion import ChannelsLast, fused
from vision_research.deploy.graph_preprocess import FreeSides, GraphPreprocess
from vision_research.deploy.input_spec import InputSpec
from vision_research.deploy.modules import (
    ClassThresholds,
    ExportedDetector,
    ExportedMaskDetector,
    LowPrecision,
    TensorDetector,
    TensorMaskDetector,
)
from vision_research.deploy.preprocess import Preprocess
from vision_research.deploy.tracing import largest_difference, script, trace, untraced

FAMILIES: tuple[Family, ...] = (
    DenseFamily(),
    PaaFamily(),
    CenterNetFamily(),
    YoloV3Family(),
    YoloxFamily(),
    TwoStageFamily(),
    GridFamily(),
    DetrFamily(),
    SparseFamily(),
    MaskTwoStageFamily(),
    HtcFamily(),
    InstanceFamily(),
    SoloFamily(),
    MaskQueryFamily(),
)

# A trace that depends on the size is off by whole cells; the same kernels on the same values differ by nothing at all.
_TRACE_TOLERANCE = 1e-4

# Of the largest value: kernels for several images sum in another order.
_BATCH_TOLERANCE = 1e-4
_LOW_BATCH_TOLERANCE = 0.02

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Form:
    """What an exported detector takes and gives, besides which detector it is.

    Attributes:
        batch: images at once; None takes any number.
        preprocess: whether it takes images, or the normalised tensor.
        precision: of the network: fp32, fp16 or bf16.
        lowest_scores: of each class, in the order of the labels; None gives out all.
        fuse: TorchScript alone: batch norms are folded into convolutions, and the network computes channels last.
    """

    batch: int | None = 1
    preprocess: bool = True
    precision: str = "fp32"
    lowest_scores: tuple[float, ...] | None = None
    fuse: bool = False


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


def build_exported(detector: Any, spec: InputSpec, example: Tensor, form: Form | None = None) -> torch.jit.ScriptModule:
    """Make the self-contained TorchScript module of a detector.

    Args:
        detector: a detector built by MMDetection, weights loaded, on the CPU.
        spec: its preprocessing.
        example: (H, W, 3) uint8 BGR image to trace on.
        form: what it takes and gives; None is one image at a time in fp32.

    Raises:
        ExportError: no family exports this detector, or its network holds for one input size only.
    """
    form = form or Form()
    family = find_family(detector)
    preprocess = Preprocess(spec).eval()
    network = _network(family, fused(detector) if form.fuse else detector, form.precision)
    network = ChannelsLast(network).eval() if form.fuse else network
    with torch.no_grad():
        tensor, _, _ = preprocess(example)
        traced = trace(network, tensor)
        if spec.canvas is None:
            _check_other_size(traced, network, tensor)
        if form.batch != 1:
            _check_batch(traced, network, tensor, form.precision)
        postprocess = family.postprocess(detector, network(tensor)).eval()
    return script(_assemble(family, form, preprocess, traced, postprocess))


def build_graph(
    detector: Any, spec: InputSpec, example: Tensor, form: Form, substitutes: Mapping[type, Callable[[Any], nn.Module]]
) -> nn.Module:
    """Make the same module for `torch.export`: nothing traced, no branch on a size.

    Args:
        detector: as for `build_exported`.
        spec: its preprocessing.
        example: (H, W, 3) uint8 BGR image.
        form: what it takes and gives.
        substitutes: for a class of module within the postprocessing, what is put in its place.
    """
    family = find_family(detector)
    preprocess = GraphPreprocess(spec).eval()
    network = _network(family, detector, form.precision)
    with torch.no_grad(), untraced():
        tensor, _, _ = preprocess(example)
        if form.batch != 1:
            _check_batch(network, network, tensor, form.precision)
        postprocess = family.postprocess(detector, network(tensor)).eval()
    whole = _assemble(family, form, preprocess, network, substitute(postprocess, substitutes))
    is_free = not form.preprocess and spec.canvas is None
    return (FreeSides(whole, spec.divisor) if is_free else whole).eval().requires_grad_(False)


def substitute(module: nn.Module, substitutes: Mapping[type, Callable[[Any], nn.Module]]) -> nn.Module:
    """Put modules in the place of those of a class, all the way down; gives back the module."""
    for name, child in module.named_children():
        make = substitutes.get(type(child))
        setattr(module, name, substitute(child, substitutes) if make is None else make(child))
    return module


def _network(family: Family, detector: Any, precision: str) -> nn.Module:
    """The network, in lower precision on a copy: the detector in Python stays what it is compared with."""
    if precision not in DTYPES:
        return family.network(detector).eval()
    dtype = DTYPES[precision]
    return LowPrecision(family.network(copy.deepcopy(detector).to(dtype)), dtype).eval()


def _assemble(
    family: Family, form: Form, preprocess: nn.Module, network: nn.Module, postprocess: nn.Module
) -> nn.Module:
    thresholds = ClassThresholds(form.lowest_scores)
    if family.gives_masks:
        with_masks = ExportedMaskDetector(preprocess, network, postprocess, thresholds)
        if form.batch != 1:
            batched_masks = BatchMaskDetector if form.preprocess else TensorBatchMaskDetector
            return batched_masks(with_masks, form.batch or 0).eval()
        return (with_masks if form.preprocess else TensorMaskDetector(with_masks)).eval()
    detector = ExportedDetector(preprocess, network, postprocess, thresholds)
    if form.batch != 1:
        batched = BatchDetector if form.preprocess else TensorBatchDetector
        return batched(detector, form.batch or 0).eval()
    return (detector if form.preprocess else TensorDetector(detector)).eval()


def _check_batch(traced: nn.Module, network: nn.Module, tensor: Tensor, precision: str) -> None:
    """The maps of two images must be those of each, one after the other."""
    other = tensor.flip(-1)
    together = traced(torch.cat([tensor, other]))
    alone = [torch.cat(pair) for pair in zip(network(tensor), network(other), strict=True)]
    difference = largest_difference(together, alone)
    tolerance = _BATCH_TOLERANCE if precision == "fp32" else _LOW_BATCH_TOLERANCE
    if difference > tolerance * max(float(level.abs().max()) for level in alone):
        raise ExportError(
            f"The network gives other maps for two images at once than for each (off by {difference:.3g}). "
            "Type export.batch=1."
        )


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
            f"Fix the size, for instance: export.shape=[{tensor.shape[-2]},{tensor.shape[-1]}] (height,width)."
        )
