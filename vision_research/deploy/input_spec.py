"""What happens to an image before the network sees it, read from the test pipeline and the data preprocessor.

A plain value: the traced preprocessing, the manifest and the checks all follow it. Knows MMDetection's config keys, not
its classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vision_research.deploy.errors import ExportError


@dataclass(frozen=True)
class InputSpec:
    """From an HxWx3 uint8 BGR image to the (1, 3, H, W) float32 tensor of the network.

    Attributes:
        scale: width and height that the resized image must fit in, in pixels; mmcv's rule reads them as long and short
            edge when `keep_ratio` is set.
        keep_ratio: whether both sides are scaled alike.
        resizes_floats: whether the image becomes float32 before it is resized, so that grey levels are not rounded.
        canvas: height and width of the network's input where it is fixed, else None: it follows the image.
        bounds: smallest and largest height and width of an input that follows the image; None sets none.
        pad_divisor: sides of the padded image, before normalisation, are multiples of it.
        pad_to_square: whether the image is padded to a square before normalisation.
        pad_before_normalise: whether the pipeline pads, so that boxes are clipped at the padded image and not at the
            resized one.
        pad_value: grey levels (B, G, R) of the padding before normalisation.
        mean: per channel, in the order after `bgr_to_rgb`; empty where nothing is normalised.
        std: per channel.
        bgr_to_rgb: whether the network wants RGB.
        tensor_divisor: sides of the normalised tensor are multiples of it.
        tensor_pad_value: value of the padding after normalisation.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True
    resizes_floats: bool = False
    canvas: tuple[int, int] | None = None
    bounds: tuple[tuple[int, int], tuple[int, int]] | None = None
    pad_divisor: int = 1
    pad_to_square: bool = False
    pad_before_normalise: bool = False
    pad_value: tuple[int, int, int] = (0, 0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr_to_rgb: bool = False
    tensor_divisor: int = 1
    tensor_pad_value: float = 0.0

    @property
    def largest(self) -> tuple[int, int] | None:
        """Height and width that the resized image must fit in, besides the scale."""
        return self.canvas or (self.bounds[1] if self.bounds else None)

    @property
    def divisor(self) -> int:
        """What the sides of an input that follows the image are multiples of."""
        return self.pad_divisor if self.pad_divisor % self.tensor_divisor == 0 else self.tensor_divisor

    @property
    def tensor_bounds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Smallest and largest height and width of the network's input."""
        if self.canvas or self.bounds:
            return (self.canvas, self.canvas) if self.canvas else self.bounds  # type: ignore[return-value]
        longest = -(-max(self.scale) // self.divisor) * self.divisor
        return (self.divisor, self.divisor), (longest, longest)


def read_input_spec(pipeline: Sequence[Mapping[str, Any]], preprocessor: Mapping[str, Any]) -> InputSpec:
    """Read the preprocessing of the detector as it is validated.

    Args:
        pipeline: the test pipeline, MMEngine transform configs.
        preprocessor: `model.data_preprocessor` of the config.

    Returns:
        The preprocessing; `canvas` is set where the pipeline pads to a fixed size.

    Raises:
        ExportError: a transform or an argument of it that the exported module would not reproduce.
    """
    spec = _read_preprocessor(preprocessor)
    resized = False
    for step in pipeline:
        kind = str(step["type"]).rsplit(".", 1)[-1]
        if kind == "Resize" and not resized:
            spec, resized = _read_resize(spec, step), True
        elif kind == "Pad" and resized and not spec.pad_before_normalise:
            spec = _read_pad(spec, step)
        elif kind.startswith("Load"):
            spec = _read_load(spec, step)
        elif kind != "PackDetInputs":
            raise ExportError(
                f"The test pipeline holds {kind} at a place where the exported module cannot reproduce it. "
                "Known are Load*, one Resize, one Pad after it and PackDetInputs: export with a test pipeline of these."
            )
    if not resized:
        raise ExportError(
            "The test pipeline has no Resize: add dict(type='Resize', scale=(640, 640), keep_ratio=True)."
        )
    return spec


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


def _typed(bounds: Sequence[Sequence[int]]) -> str:
    """As a person types it."""
    return str([list(shape) for shape in bounds]).replace(" ", "")


def _read_preprocessor(config: Mapping[str, Any]) -> InputSpec:
    kind = str(config.get("type", "")).rsplit(".", 1)[-1]
    if kind != "DetDataPreprocessor":
        raise ExportError(f"model.data_preprocessor is {kind or 'not set'}; only DetDataPreprocessor can be exported.")
    return InputSpec(
        scale=(0, 0),
        mean=tuple(float(value) for value in config.get("mean") or ()),
        std=tuple(float(value) for value in config.get("std") or ()),
        bgr_to_rgb=bool(config.get("bgr_to_rgb", False) or config.get("rgb_to_bgr", False)),
        tensor_divisor=int(config.get("pad_size_divisor", 1)),
        tensor_pad_value=float(config.get("pad_value", 0)),
    )


def _read_load(spec: InputSpec, step: Mapping[str, Any]) -> InputSpec:
    if step.get("color_type", "color") not in ("color", "color_ignore_orientation"):
        raise ExportError(
            f"The test pipeline loads images with {dict(step)}; the exported module takes colour images: "
            "leave color_type at its default."
        )
    return replace(spec, resizes_floats=True) if step.get("to_float32") else spec


def _read_resize(spec: InputSpec, step: Mapping[str, Any]) -> InputSpec:
    scale = step.get("scale")
    if scale is None or step.get("interpolation", "bilinear") != "bilinear" or step.get("backend", "cv2") != "cv2":
        raise ExportError(
            f"The test pipeline resizes with {dict(step)}; only a bilinear cv2 resize to a `scale` can be exported."
        )
    width, height = (scale, scale) if isinstance(scale, int) else scale
    return replace(spec, scale=(int(width), int(height)), keep_ratio=bool(step.get("keep_ratio", False)))


def _read_pad(spec: InputSpec, step: Mapping[str, Any]) -> InputSpec:
    if step.get("padding_mode", "constant") != "constant":
        raise ExportError(
            f"The test pipeline pads with padding_mode={step['padding_mode']!r}; only 'constant' can be exported."
        )
    value = step.get("pad_val", 0)
    if isinstance(value, Mapping):
        value = value.get("img", 0)
    levels = (value, value, value) if isinstance(value, int | float) else value
    size = step.get("size")
    return replace(
        spec,
        pad_before_normalise=True,
        pad_value=(int(levels[0]), int(levels[1]), int(levels[2])),
        canvas=(int(size[1]), int(size[0])) if size else None,
        pad_divisor=int(step.get("size_divisor") or 1),
        pad_to_square=bool(step.get("pad_to_square", False)),
    )
