"""The preprocessing of a config on an input of another shape: one size, or any within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vision_research.deploy.errors import ExportError
from vision_research.deploy.input_spec import InputSpec


def with_fixed_canvas(spec: InputSpec, shape: tuple[int, int], divisor: int) -> InputSpec:
    """The same preprocessing on a canvas of one size: images are scaled down to fit it, then padded to fill it.

    Args:
        spec: the preprocessing of the config.
        shape: height and width, in pixels.
        divisor: what both must be multiples of.

    Raises:
        ExportError: a side is not a multiple of the divisor; the message names the nearest shapes that are.
    """
    if min(shape) < 1 or any(side % divisor for side in shape):
        below = [max(side // divisor, 1) * divisor for side in shape]
        above = [max(-(-side // divisor), 1) * divisor for side in shape]
        raise ExportError(
            f"export.shape=[{shape[0]},{shape[1]}] (height,width) must be multiples of {divisor} for this detector. "
            f"Nearest: export.shape=[{below[0]},{below[1]}] or export.shape=[{above[0]},{above[1]}]."
        )
    _refuse_centred(spec, "export.shape")
    scale = spec.scale if spec.keep_ratio else (shape[1], shape[0])
    return replace(spec, scale=scale, canvas=shape, pad_divisor=1, pad_to_square=False, tensor_divisor=1)


def with_bounds(spec: InputSpec, bounds: tuple[tuple[int, int], tuple[int, int]], divisor: int) -> InputSpec:
    """The same preprocessing onto an input that follows the image: as small as the divisor lets it, within bounds.

    Args:
        spec: the preprocessing of the config.
        bounds: smallest and largest height and width, in pixels.
        divisor: what all must be multiples of.

    Raises:
        ExportError: a side is not a multiple of the divisor (the message names the nearest bounds that are), or the
            pipeline knows one size only.
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
    """As a person types it."""
    return str([list(shape) for shape in bounds]).replace(" ", "")
