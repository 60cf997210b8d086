"""Canvases of sizes that a network cannot take: padded inside, so that boxes stay in pixels of the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import Config

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import InputSpec, read_input_spec
from vision_research.deploy.build.network import NetworkPadding
from vision_research.deploy.check.difference import compare
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.families.registry import find_family

SHAPE = (100, 150)


def test_a_tensor_is_padded_with_the_normalised_grey_level_of_the_pipeline() -> None:
    spec = InputSpec(
        (64, 64),
        canvas=(30, 33),
        network_divisor=32,
        pad_before_normalise=True,
        pad_value=(10, 20, 30),
        mean=(1.0, 2.0, 3.0),
        std=(2.0, 4.0, 8.0),
        bgr_to_rgb=True,
    )
    tensor = torch.rand(2, 3, 30, 33)

    padded = NetworkPadding(spec)(tensor)

    assert padded.shape == (2, 3, 32, 64)
    assert torch.equal(padded[:, :, :30, :33], tensor)
    for channel, level in enumerate(((30 - 1) / 2, (20 - 2) / 4, (10 - 3) / 8)):
        assert bool((padded[:, channel, 30:] == level).all()) and bool((padded[:, channel, :, 33:] == level).all())


def test_a_tensor_that_the_preprocessor_pads_is_padded_with_its_value() -> None:
    padded = NetworkPadding(InputSpec((64, 64), canvas=(32, 33), network_divisor=32, tensor_pad_value=0.5))(
        torch.zeros(1, 3, 32, 33)
    )

    assert padded.shape == (1, 3, 32, 64) and bool((padded[:, :, :, 33:] == 0.5).all())


def _agrees(detector: Any, config: Config, images: list[Any]) -> Any:
    """Compare the exported module on a canvas that it pads with the detector in Python; returns the module."""
    pipeline = config.test_dataloader.dataset.pipeline
    spec = with_fixed_canvas(read_input_spec(pipeline, config.model.data_preprocessor), SHAPE, 32)
    reference = PythonDetector(detector, pipeline, spec, find_family(detector))
    module = build_exported(detector, spec, torch.from_numpy(images[0]))
    for image in images[1:]:
        prepared = reference.prepare(image)
        assert prepared.tensor.shape == (1, 3, *SHAPE)
        assert torch.equal(module.preprocess(torch.from_numpy(image))[0], prepared.tensor)
        expected = reference.predict(prepared)
        found = compare(Detections(*module(torch.from_numpy(image))), expected)
        assert found.num_got == found.num_expected > 10
        assert found.box_px < 1e-3 and found.score < 1e-5 and (found.mask or 0.0) <= 0.002
        alone = reference.as_tensor(prepared)
        given = Detections(*module.forward_tensor(alone.tensor, *reference.geometry(alone)))
        assert compare(given, reference.predict(alone)).box_px < 1e-3
        assert float(given.boxes[:, 0::2].max()) <= SHAPE[1] and float(given.boxes[:, 1::2].max()) <= SHAPE[0]
    return module


@pytest.mark.parametrize("family", ["rtmdet", "faster_rcnn"])
def test_boxes_agree_with_the_detector_and_lie_on_the_canvas(
    family: str,
    config_of: Callable[[str], Config],
    build_detector: Callable[[Config], Any],
    picture: Callable[..., Any],
    without_profiling: None,
) -> None:
    config = config_of(family)

    _agrees(build_detector(config), config, [picture(0, 80, 110), picture(1, 96, 144), picture(2, 150, 100)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["mask_rcnn/mask-rcnn_r50_fpn_1x_coco", "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", "solo/solo_r50_fpn_1x_coco"],
)
def test_masks_agree_with_the_detector(
    name: str,
    zoo_detector: Callable[..., tuple[Config, Any]],
    picture: Callable[..., Any],
    without_profiling: None,
) -> None:
    config, detector = zoo_detector(name)

    _agrees(detector, config, [picture(0, 80, 110), picture(1, 96, 144)])
