"""What is done to an image before the network sees it, read from the test pipeline and the data preprocessor.

`InputSpec` is a plain value; the exported preprocessing, the manifest and the checks all follow it. Knows MMDetection's
config keys, not its classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vision_research.deploy.errors import ExportError

# Limit of a side that nothing else limits: larger than camera images, and a multiple of any stride.
_LARGEST_SIDE = 16384


@dataclass(frozen=True)
class InputSpec:
    """From an (H, W, 3) uint8 BGR image to the (1, 3, h, w) float32 tensor.

    Attributes:
        scale: width and height that the resized image must fit in, in pixels; with `keep_ratio`, mmcv takes them for
            the long and the short edge.
        keep_ratio: whether both sides are scaled by the same factor.
        resizes_floats: whether the image becomes float32 before it is resized, so that grey levels are not rounded.
        canvas: height and width of the tensor where they are fixed; None where they follow the image.
        bounds: smallest and largest height and width of a tensor that follows the image; None sets none.
        pad_divisor: sides of the padded image, before normalisation, are multiples of it.
        pad_to_square: whether the image is padded to a square before normalisation.
        pad_before_normalise: whether the pipeline pads, so that boxes are clipped at the padded image and not at the
            resized one.
        centred: for CenterNet, whose images are not resized and lie in the middle of their padding: the padded sides
            are the next larger multiples of this; 0 where images lie top left.
        pad_value: grey levels (B, G, R) of the padding before normalisation.
        mean: per channel, in the order after `bgr_to_rgb`; empty where nothing is normalised.
        std: per channel.
        bgr_to_rgb: whether the network wants RGB.
        tensor_divisor: sides of the normalised tensor are multiples of it.
        tensor_pad_value: value of the padding after normalisation.
        network_divisor: sides of what the network sees are multiples of it; a canvas of another size is padded further
            within the exported module.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True
    resizes_floats: bool = False
    canvas: tuple[int, int] | None = None
    bounds: tuple[tuple[int, int], tuple[int, int]] | None = None
    pad_divisor: int = 1
    pad_to_square: bool = False
    pad_before_normalise: bool = False
    centred: int = 0
    pad_value: tuple[int, int, int] = (0, 0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr_to_rgb: bool = False
    tensor_divisor: int = 1
    tensor_pad_value: float = 0.0
    network_divisor: int = 1

    @property
    def largest(self) -> tuple[int, int] | None:
        """Height and width that the resized image must fit in, besides the scale."""
        return self.canvas or (self.bounds[1] if self.bounds else None)

    @property
    def pads_for_network(self) -> bool:
        """Whether the canvas is not of a size that the network takes."""
        return self.canvas is not None and any(side % self.network_divisor for side in self.canvas)

    @property
    def divisor(self) -> int:
        """Sides of a tensor that follows the image are multiples of it."""
        return self.pad_divisor if self.pad_divisor % self.tensor_divisor == 0 else self.tensor_divisor

    @property
    def tensor_bounds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Smallest and largest height and width of the tensor."""
        if self.canvas or self.bounds:
            return (self.canvas, self.canvas) if self.canvas else self.bounds  # type: ignore[return-value]
        if self.centred:
            return (self.divisor, self.divisor), (_LARGEST_SIDE, _LARGEST_SIDE)
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
        elif kind == "RandomCenterCropPad" and not resized:
            spec, resized = _read_centre_pad(spec, step), True
        elif kind.startswith("Load"):
            spec = _read_load(spec, step)
        elif kind != "PackDetInputs":
            raise ExportError(
                f"The test pipeline holds {kind} at a place where the exported module cannot reproduce it. "
                "Known are Load*, one Resize, one Pad after it, or CenterNet's RandomCenterCropPad alone, and "
                "PackDetInputs: export with a test pipeline of these."
            )
    if not resized:
        raise ExportError(
            "The test pipeline has no Resize: add dict(type='Resize', scale=(640, 640), keep_ratio=True)."
        )
    return spec


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


def _read_centre_pad(spec: InputSpec, step: Mapping[str, Any]) -> InputSpec:
    mode, filled = step.get("test_pad_mode") or ("logical_or", 127)
    # Only where all lower bits are filled and one pixel is added is a side the next larger multiple.
    multiple = int(filled) + 1
    if not step.get("test_mode") or mode != "logical_or" or step.get("test_pad_add_pix") != 1 or multiple & int(filled):
        raise ExportError(
            f"The test pipeline pads with {dict(step)}; of RandomCenterCropPad only test_mode=True with "
            "test_pad_mode=['logical_or', 31] (or another 2**n - 1) and test_pad_add_pix=1 can be exported."
        )
    blue, green, red = (int(level) for level in (step["mean"][::-1] if step["to_rgb"] else step["mean"]))
    return replace(
        spec, centred=multiple, pad_divisor=multiple, pad_before_normalise=True, pad_value=(blue, green, red)
    )


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
