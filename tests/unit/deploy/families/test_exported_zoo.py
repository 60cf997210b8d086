"""Zoo configs of every family: the exported module, saved and loaded again, predicts what the detector does."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import export_zoo as zoo
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.check.bounds import EXACT
from vision_research.deploy.check.difference import compare
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.families.registry import find_family

# The quick round exports this one.
QUICK = {"yolo/yolov3_mobilenetv2_8xb24-320-300e_coco"}


# Their code is that of another config here, or has a test file of its own; benchmarks/export_table.py proves them too.
FAMILIES_ELSEWHERE = {"query", "masks"}
REPEATS = {
    "free_anchor/freeanchor_r50_fpn_1x_coco",
    "ghm/retinanet_r50_fpn_ghm-1x_coco",
    "pisa/retinanet-r50_fpn_pisa_1x_coco",
    "libra_rcnn/libra-retinanet_r50_fpn_1x_coco",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco",
    "tood/tood_r50_fpn_anchor-based_1x_coco",
    "ssd/ssd300_coco",
    "yolo/yolov3_d53_8xb8-320-273e_coco",
    "centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco",
    "faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco",
    "faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco",
    "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco",
    "pisa/faster-rcnn_r50_fpn_pisa_1x_coco",
    "detectors/detectors_cascade-rcnn_r50_1x_coco",
}


def _cases() -> list[Any]:
    return [
        pytest.param(config, id=config.name, marks=() if config.name in QUICK else pytest.mark.slow)
        for family, configs in zoo.ZOO.items()
        for config in configs
        if family not in FAMILIES_ELSEWHERE and config.name not in REPEATS
    ]


def test_what_is_left_to_the_table_is_in_the_table() -> None:
    names = {config.name for configs in zoo.ZOO.values() for config in configs}
    assert names >= REPEATS and set(zoo.ZOO) >= FAMILIES_ELSEWHERE
    assert len(_cases()) == 26


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    return {"landscape": zoo.draw(1, 130, 180), "portrait": zoo.draw(2, 180, 130)}


@pytest.mark.slow
@pytest.mark.parametrize("config", _cases())
def test_the_loaded_module_predicts_what_the_detector_does(
    config: Any, pictures: dict[str, NDArray[np.uint8]], without_profiling: None
) -> None:
    loaded = zoo.zoo_config(config)
    pipeline = loaded.test_dataloader.dataset.pipeline
    detector = zoo.perturbed_detector(config, loaded)
    spec = read_input_spec(pipeline, loaded.model.data_preprocessor)
    module = _reloaded(build_exported(detector, spec, torch.from_numpy(zoo.draw(3, 120, 160))))
    reference = PythonDetector(detector, pipeline, spec, find_family(detector))

    for name, picture in pictures.items():
        expected = reference.predict(reference.prepare(picture))
        difference = compare(Detections(*module(torch.from_numpy(picture))), expected)
        assert difference.within(EXACT.tolerance), (name, difference)
        assert difference.num_expected >= 50 and len(expected.labels.unique()) >= 5, (name, difference)


def _reloaded(module: torch.jit.ScriptModule) -> Callable[..., Any]:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    loaded: Callable[..., Any] = torch.jit.load(buffer)
    return loaded
