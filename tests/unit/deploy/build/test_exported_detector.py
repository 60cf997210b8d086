"""Exported modules against the detector in Python, without files: every family, many image sizes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.build.network import ChannelsLast, fused
from vision_research.deploy.check.difference import compare
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.registry import find_family

# The quick round exports one of them.
FAMILIES = ["retinanet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rtmdet", "faster_rcnn", "yolox"))]
TWO_STAGE = pytest.param("faster_rcnn", marks=pytest.mark.slow)
PADDED = pytest.param("rtmdet", marks=pytest.mark.slow)

Export = Callable[..., tuple[Any, PythonDetector]]


@pytest.fixture
def images(picture: Callable[..., NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    """Landscape, portrait, smaller than the input, extreme, and nothing to see."""
    return {
        "landscape": picture(1, 96, 144),
        "portrait": picture(2, 150, 100),
        "small": picture(3, 31, 47),
        "wide": picture(4, 20, 300),
        "black": np.zeros((90, 120, 3), np.uint8),
    }


@pytest.fixture(scope="module")
def exported() -> dict[str, tuple[bytes, PythonDetector]]:
    """What has been exported so far: the saved module and its reference, by the config and the shape."""
    return {}


@pytest.fixture
def export(
    exported: dict[str, tuple[bytes, PythonDetector]],
    build_detector: Callable[[Config], Any],
    picture: Callable[..., NDArray[np.uint8]],
) -> Export:
    """Make the scripted module, traced on a picture of its own, and its reference; each is exported once."""

    def make(config: Config, shape: tuple[int, int] | None = None) -> tuple[Any, PythonDetector]:
        key = f"{config.model}{shape}"
        if key not in exported:
            module, reference = build(config, shape)
            buffer = io.BytesIO()
            torch.jit.save(module, buffer)
            exported[key] = (buffer.getvalue(), reference)
        saved, reference = exported[key]
        return torch.jit.load(io.BytesIO(saved)), reference

    def build(config: Config, shape: tuple[int, int] | None) -> tuple[Any, PythonDetector]:
        detector = build_detector(config)
        pipeline = config.test_dataloader.dataset.pipeline
        spec = read_input_spec(pipeline, config.model.data_preprocessor)
        if shape is not None:
            spec = with_fixed_canvas(spec, shape, 32)
        module = build_exported(detector, spec, torch.from_numpy(picture(9, 80, 110)))
        return module, PythonDetector(detector, pipeline, spec, find_family(detector))

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fused_network_gives_the_maps_of_the_network(
    family: str,
    build_detector: Callable[[Config], Any],
    config_of: Callable[[str], Config],
    picture: Callable[..., NDArray[np.uint8]],
) -> None:
    detector = build_detector(config_of(family))
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    tensor = torch.from_numpy(picture(1, 96, 128)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = find_family(detector).network(detector)(tensor)
        faster = fused(detector)
        got = ChannelsLast(find_family(faster).network(faster))(tensor)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
    norms = (torch.nn.BatchNorm2d, torch.nn.SyncBatchNorm)
    assert not any(isinstance(module, norms) for module in find_family(faster).network(faster).modules())
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_image_gives_what_the_detector_gives(
    family: str, export: Export, config_of: Callable[[str], Config], images: dict[str, NDArray[np.uint8]]
) -> None:
    module, reference = export(config_of(family))
    counts = {}

    for name, image in images.items():
        prepared = reference.prepare(image)
        expected = reference.predict(prepared)
        tensor, clip, scale_factor = module.preprocess(torch.from_numpy(image))
        assert torch.equal(tensor, prepared.tensor), name
        assert (clip, scale_factor) == (tuple(prepared.clip), tuple(prepared.scale_factor)), name
        difference = compare(Detections(*module(torch.from_numpy(image))), expected)
        assert (difference.num_got, difference.box_px) == (difference.num_expected, pytest.approx(0, abs=1e-3)), name
        assert difference.score < 1e-5, name
        counts[name] = difference.num_expected

    assert counts["landscape"] >= 30, counts


@pytest.mark.parametrize("family", FAMILIES)
def test_a_threshold_above_everything_leaves_empty_tensors(
    family: str, export: Export, config_of: Callable[[str], Config], images: dict[str, NDArray[np.uint8]]
) -> None:
    module, reference = export(config_of(family))
    module.postprocess.score_thr = 1.5

    boxes, scores, labels = module(torch.from_numpy(images["landscape"]))

    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))
    assert (boxes.dtype, scores.dtype, labels.dtype) == (torch.float32, torch.float32, torch.int64)
    with reference.thresholds(1.5, None):
        assert len(reference.predict(reference.prepare(images["landscape"])).scores) == 0


@pytest.mark.parametrize("family", ["retinanet", TWO_STAGE])
def test_the_count_agrees_for_a_threshold_between_any_two_scores(
    family: str, export: Export, config_of: Callable[[str], Config], images: dict[str, NDArray[np.uint8]]
) -> None:
    module, reference = export(config_of(family))
    image = images["landscape"]
    prepared = reference.prepare(image)
    scores = reference.predict(prepared).scores

    for score_thr in (float(scores[3]), float(scores[20]), float(scores[40])):
        with reference.thresholds(score_thr, None):
            expected = reference.predict(prepared)
        module.postprocess.score_thr = score_thr
        # The threshold itself is not above the threshold.
        assert float(expected.scores.min()) > score_thr
        assert compare(Detections(*module(torch.from_numpy(image))), expected).num_got == len(expected.scores)


@pytest.mark.parametrize("family", [PADDED, "retinanet"])
def test_on_a_fixed_canvas_every_image_fills_it(
    family: str, export: Export, config_of: Callable[[str], Config], images: dict[str, NDArray[np.uint8]]
) -> None:
    module, reference = export(config_of(family), shape=(96, 160))

    for name, image in images.items():
        prepared = reference.prepare(image)
        tensor, _, _ = module.preprocess(torch.from_numpy(image))
        assert tensor.shape == (1, 3, 96, 160)
        assert torch.equal(tensor, prepared.tensor), name
        difference = compare(Detections(*module(torch.from_numpy(image))), reference.predict(prepared))
        assert difference.num_got == difference.num_expected
        assert difference.box_px < 1e-3 and difference.score < 1e-5, name


def test_what_is_no_image_is_refused_with_what_was_expected(export: Export, config_of: Callable[[str], Config]) -> None:
    module, _ = export(config_of("retinanet"))

    for wrong in (torch.zeros(8, 8), torch.zeros(8, 8, 3), torch.zeros(3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(torch.jit.Error, match="expected an \\(H, W, 3\\) uint8 BGR image"):
            module(wrong)


def test_an_unknown_suppression_is_refused_before_tracing(export: Export, config_of: Callable[[str], Config]) -> None:
    config = config_of("retinanet")
    config.model.test_cfg.nms = {"type": "nms_quadri", "iou_threshold": 0.5}

    with pytest.raises(ExportError, match="nms_quadri.*known is dict\\(type='nms'.*soft_nms"):
        export(config)


def test_a_network_that_holds_for_one_size_only_asks_for_a_shape(
    config_of: Callable[[str], Config],
    build_detector: Callable[[Config], Any],
    picture: Callable[..., NDArray[np.uint8]],
) -> None:
    config = config_of("retinanet")
    detector = build_detector(config)
    spec = read_input_spec(config.test_dataloader.dataset.pipeline, config.model.data_preprocessor)
    extract = detector.extract_feat
    detector.extract_feat = lambda tensor: [level + float(tensor.shape[-1]) for level in extract(tensor)]

    with pytest.raises(ExportError, match=r"one input size only .* export.shape=\[128,192\]"):
        build_exported(detector, spec, torch.from_numpy(picture(9, 80, 120)))
