"""Reading the preprocessing from a test pipeline, and refusing what cannot be reproduced."""

from __future__ import annotations

from typing import Any

import pytest

from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.errors import ExportError

PREPROCESSOR: dict[str, Any] = {
    "type": "DetDataPreprocessor",
    "mean": [1, 2, 3],
    "std": [4, 5, 6],
    "bgr_to_rgb": True,
    "pad_size_divisor": 32,
}
LOAD = {"type": "LoadImageFromFile"}
RESIZE = {"type": "Resize", "scale": (1333, 800), "keep_ratio": True}
PACK = {"type": "PackDetInputs"}
CENTRE_PAD = {
    "type": "RandomCenterCropPad",
    "test_mode": True,
    "test_pad_mode": ["logical_or", 31],
    "test_pad_add_pix": 1,
    "mean": [1, 2, 3],
    "std": [1, 1, 1],
    "to_rgb": True,
}


def test_padding_in_the_preprocessor_leaves_the_canvas_to_the_image() -> None:
    spec = read_input_spec([LOAD, RESIZE, {"type": "LoadAnnotations"}, PACK], PREPROCESSOR)

    assert (spec.scale, spec.keep_ratio, spec.canvas) == ((1333, 800), True, None)
    assert (spec.mean, spec.std, spec.bgr_to_rgb) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), True)
    assert (spec.pad_before_normalise, spec.tensor_divisor) == (False, 32)


def test_padding_in_the_pipeline_fixes_the_canvas() -> None:
    pad = {"type": "mmdet.Pad", "size": (640, 320), "pad_val": {"img": (114, 114, 114)}}

    spec = read_input_spec([LOAD, RESIZE, pad, PACK], {"type": "DetDataPreprocessor"})

    assert spec.canvas == (320, 640)
    assert (spec.pad_before_normalise, spec.pad_value) == (True, (114, 114, 114))
    assert (spec.mean, spec.tensor_divisor) == ((), 1)


def test_an_image_in_the_middle_of_its_padding_keeps_its_size() -> None:
    spec = read_input_spec([{**LOAD, "to_float32": True}, CENTRE_PAD, PACK], {"type": "DetDataPreprocessor"})

    assert (spec.centred, spec.pad_value, spec.divisor) == (32, (3, 2, 1), 32)
    with pytest.raises(ExportError, match="in the middle of its padding .* Type export.shape=null"):
        with_fixed_canvas(spec, (64, 64), 32)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([LOAD, {"type": "CenterCrop"}, RESIZE], "holds CenterCrop"),
        ([LOAD, {"type": "Pad", "size": (640, 640)}, RESIZE], "holds Pad at a place"),
        ([LOAD, RESIZE, RESIZE], "holds Resize at a place"),
        ([LOAD, PACK], "has no Resize"),
        ([{"type": "LoadImageFromFile", "color_type": "grayscale"}, RESIZE], "leave color_type"),
        ([LOAD, {**CENTRE_PAD, "test_pad_mode": ["size_divisor", 32]}], "only test_mode=True with"),
        ([LOAD, {**CENTRE_PAD, "test_pad_add_pix": 0}], "only test_mode=True with"),
        ([LOAD, CENTRE_PAD, RESIZE], "holds Resize at a place"),
        ([LOAD, {**RESIZE, "interpolation": "area"}], "only a bilinear cv2 resize"),
        ([LOAD, RESIZE, {"type": "Pad", "size": (9, 9), "padding_mode": "edge"}], "padding_mode='edge'"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_by_name(steps: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        read_input_spec(steps, PREPROCESSOR)


def test_floats_from_the_start_are_resized_as_floats() -> None:
    assert read_input_spec([{**LOAD, "to_float32": True}, RESIZE, PACK], PREPROCESSOR).resizes_floats
    assert not read_input_spec([LOAD, RESIZE, PACK], PREPROCESSOR).resizes_floats


def test_another_data_preprocessor_is_refused() -> None:
    with pytest.raises(ExportError, match="TrackDataPreprocessor; only DetDataPreprocessor"):
        read_input_spec([LOAD, RESIZE], {"type": "TrackDataPreprocessor"})


@pytest.mark.parametrize(("shape", "pads"), [((64, 96), False), ((320, 640), False), ((100, 96), True)])
def test_any_shape_becomes_the_canvas(shape: tuple[int, int], pads: bool) -> None:
    spec = with_fixed_canvas(read_input_spec([LOAD, RESIZE], PREPROCESSOR), shape, 32)

    assert spec.canvas == shape
    assert spec.tensor_bounds == (shape, shape)
    assert spec.pads_for_network == pads


def test_a_shape_without_pixels_is_refused() -> None:
    with pytest.raises(ExportError, match=r"export.shape=\[5,0\] .* no pixels"):
        with_fixed_canvas(read_input_spec([LOAD, RESIZE], PREPROCESSOR), (5, 0), 32)
