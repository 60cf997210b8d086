"""Makes the `ExportedProgram` of a detector, from which the graph formats are written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vision_research.deploy.build.detector import build_graph
from vision_research.deploy.build.preprocess import Preprocess
from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.quiet import quiet
from vision_research.ops.computed_sizes import ComputedSizes

# Limit of an image's side: larger than camera images.
_LARGEST_SIDE = 16384


def export_program(job: Job, substitutes: Mapping[type, Callable[[Any], nn.Module]]) -> ExportedProgram:
    """Export a detector with torch.export.

    Args:
        job: what to export.
        substitutes: for a class of module within the postprocessing, what makes its replacement.

    Raises:
        ExportError: torch cannot trace the detector's code; the message holds torch's reason.
    """
    example = job.inputs_for(job.images[0])
    # MMDetection warns of deprecated calls, and torch prints the whole graph when it fails.
    with quiet(logging.CRITICAL), torch.no_grad(), ComputedSizes():
        module = build_graph(job.detector, job.spec, torch.from_numpy(job.images[0]), job.form, substitutes)
        try:
            return torch.export.export(module, (example,), dynamic_shapes=(_free_sides(job, example),), strict=False)
        except Exception as error:
            # torch.export has no common exception class for code that it cannot trace.
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ExportError(
                f"torch.export cannot follow {type(job.detector).__name__}: {reason} {_way_out(job)}"
            ) from error


def _way_out(job: Job) -> str:
    """What to type: with a fixed size, where it is not fixed, the graph computes no sizes."""
    script = "export=torchscript, which is traced and scripted instead"
    if job.spec.canvas is not None:
        return f"Type {script}."
    with torch.no_grad():
        rows, columns = Preprocess(job.spec)(torch.from_numpy(job.images[0]))[0].shape[2:]
    return f"Type a fixed size, for instance export.shape=[{rows},{columns}], or {script}."


def _free_sides(job: Job, example: Tensor) -> dict[int, Any]:
    """The dimensions of the input that are not fixed, with their bounds."""
    first = 0 if job.form.batch == 1 else 1
    if job.form.preprocess:
        return {first + axis: Dim(name, min=1, max=_LARGEST_SIDE) for axis, name in enumerate(("height", "width"))}
    smallest, largest = job.spec.tensor_bounds
    if smallest == largest:
        return {}
    divisor, names = job.spec.divisor, ("rows", "columns")
    cells = [
        Dim(name, min=low // divisor, max=high // divisor)
        for name, low, high in zip(names, smallest, largest, strict=True)
    ]
    return {example.dim() - 2 + axis: divisor * cell if divisor > 1 else cell for axis, cell in enumerate(cells)}
