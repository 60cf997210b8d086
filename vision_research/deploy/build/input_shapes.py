"""Changes the preprocessing of a config to tensors of one given size, or of any size within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.errors import ExportError


def with_fixed_canvas(spec: InputSpec, shape: tuple[int, int], divisor: int) -> InputSpec:
    """Fix the size of the tensor: images are scaled down to fit the canvas, then padded to fill it.

    Args:
        spec: the preprocessing of the config.
        shape: height and width of the canvas, in pixels.
        divisor: what the network needs the sides to be multiples of; the exported module pads other canvases further.

    Raises:
        ExportError: a side is less than a pixel, or the pipeline leaves images as large as they are.
    """
    if min(shape) < 1:
        raise ExportError(f"export.shape=[{shape[0]},{shape[1]}] (height,width) has no pixels. Type export.shape=null.")
    _refuse_centred(spec, "export.shape")
    scale = spec.scale if spec.keep_ratio else (shape[1], shape[0])
    return replace(
        spec,
        scale=scale,
        canvas=shape,
        pad_divisor=1,
        pad_to_square=False,
        tensor_divisor=1,
        network_divisor=divisor,
    )


def with_bounds(spec: InputSpec, bounds: tuple[tuple[int, int], tuple[int, int]], divisor: int) -> InputSpec:
    """Let the size of the tensor follow the image within bounds: images get as little padding as the divisor allows.

    Args:
        spec: the preprocessing of the config.
        bounds: smallest and largest height and width of the tensor, in pixels.
        divisor: all sides between the bounds are multiples of it, so the bounds must be too.

    Raises:
        ExportError: a side is not a multiple of the divisor (the message names the nearest bounds that are), or the
            pipeline brings every image to one size.
    """
    if any(side % divisor for shape in bounds for side in shape):
        low, high = ([max(round(side / divisor), 1) * divisor for side in shape] for shape in bounds)
        raise ExportError(
            f"export.bounds={_typed(bounds)} must be multiples of {divisor} for this detector. "
            f"Nearest: export.bounds={_typed((low, high))}."
        )
    _refuse_centred(spec, "export.bounds")
    if not spec.keep_ratio:
        height, width = spec.scale[1], spec.scale[0]
        raise ExportError(
            f"The test pipeline brings every image to {height}x{width}, so no shape is dynamic. "
            f"Type export.shape=[{height},{width}] or export.shape=null."
        )
    return replace(
        spec,
        canvas=None,
        bounds=bounds,
        pad_divisor=divisor if spec.pad_before_normalise else 1,
        pad_to_square=False,
        tensor_divisor=divisor,
    )


def _refuse_centred(spec: InputSpec, key: str) -> None:
    if spec.centred:
        raise ExportError(
            "The test pipeline keeps every image as large as it is, in the middle of its padding "
            f"(RandomCenterCropPad). Type {key}=null."
        )


def _typed(bounds: Sequence[Sequence[int]]) -> str:
    """Bounds as a person types them."""
    return str([list(shape) for shape in bounds]).replace(" ", "")
