"""Makes the exported module of a detector: for TorchScript, and for the formats that are written from a graph.

The family of the detector gives the network and the decoding (`families/`); `modules` and `batches` join them with the
preprocessing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.build.batches import (
    BatchDetector,
    BatchMaskDetector,
    TensorBatchDetector,
    TensorBatchMaskDetector,
)
from vision_research.deploy.build.graph_preprocess import FreeSides, GraphPreprocess
from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.modules import (
    DTYPES,
    ClassThresholds,
    ExportedDetector,
    ExportedMaskDetector,
    Form,
    TensorDetector,
    TensorMaskDetector,
)
from vision_research.deploy.build.network import ChannelsLast, LowPrecision, NetworkPadding, PaddedNetwork, fused
from vision_research.deploy.build.preprocess import Preprocess
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.family import Family
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.families.tracing import largest_difference, script, trace, untraced

# A trace that depends on the size is off by whole cells; a trace that does not gives exactly the same values.
_TRACE_TOLERANCE = 1e-4

# Share of the largest value: kernels for several images sum in another order.
_BATCH_TOLERANCE = 1e-4
_LOW_BATCH_TOLERANCE = 0.02


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
    network = _network(family, fused(detector) if form.fuse else detector, spec, form.precision)
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
    """Make the module of a detector for `torch.export`, in eval mode: nothing is traced, no branch depends on a size.

    Args:
        detector: as for `build_exported`.
        spec: its preprocessing.
        example: (H, W, 3) uint8 BGR image.
        form: what it takes and gives.
        substitutes: for a class of module within the postprocessing, what makes its replacement.

    Raises:
        ExportError: no family exports this detector, or its network computes batches otherwise than single images.
    """
    family = find_family(detector)
    preprocess = GraphPreprocess(spec).eval()
    network = _network(family, detector, spec, form.precision)
    with torch.no_grad(), untraced():
        tensor, _, _ = preprocess(example)
        if form.batch != 1:
            _check_batch(network, network, tensor, form.precision)
        postprocess = family.postprocess(detector, network(tensor)).eval()
    whole = _assemble(family, form, preprocess, network, substitute(postprocess, substitutes))
    is_free = not form.preprocess and spec.canvas is None
    return (FreeSides(whole, spec.divisor) if is_free else whole).eval().requires_grad_(False)


def substitute(module: nn.Module, substitutes: Mapping[type, Callable[[Any], nn.Module]]) -> nn.Module:
    """Replace the modules of some classes, at every depth, and return the module.

    Args:
        module: changed in place.
        substitutes: for a class, what makes the replacement of a module of it.
    """
    for name, child in module.named_children():
        make = substitutes.get(type(child))
        setattr(module, name, substitute(child, substitutes) if make is None else make(child))
    return module


def _network(family: Family, detector: Any, spec: InputSpec, precision: str) -> nn.Module:
    """The network, in lower precision on a copy: the detector in Python stays what it is compared with."""
    if precision in DTYPES:
        dtype = DTYPES[precision]
        network: nn.Module = LowPrecision(family.network(copy.deepcopy(detector).to(dtype)), dtype)
    else:
        network = family.network(detector)
    return (PaddedNetwork(NetworkPadding(spec), network) if spec.pads_for_network else network).eval()


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
    """Refuse a network that gives other maps for two images at once than for each alone."""
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
    """Refuse a trace that holds for one size only, where the input's size follows the image.

    The other size is the transposed one, with 64 rows more.
    """
    height, width = tensor.shape[-1] + 64, tensor.shape[-2]
    other = torch.nn.functional.interpolate(tensor, size=(height, width), mode="nearest")
    expected = network(other)
    try:
        difference = largest_difference(traced(other), expected)
    except RuntimeError:
        difference = float("inf")
    # A fused product rounds otherwise, in the last bits of the largest coordinate.
    rounding = 5e-7 * max(float(level.abs().max()) for level in expected)
    if difference > max(_TRACE_TOLERANCE, rounding):
        raise ExportError(
            f"The network's trace holds for one input size only (off by {difference:.3g} on {height}x{width}). "
            f"Fix the size, for instance: export.shape=[{tensor.shape[-2]},{tensor.shape[-1]}] (height,width)."
        )
