"""Detectors with masks of MMDetection's zoo, exported and held against the detector in Python by the export's check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.cases import Case
from vision_research.deploy.detections import compare
from vision_research.deploy.detector import build_exported, find_family
from vision_research.deploy.errors import ExportError
from vision_research.deploy.input_spec import read_input_spec, with_fixed_canvas
from vision_research.deploy.reference import PythonDetector
from vision_research.deploy.tracing import untraced
from vision_research.deploy.verify import verify

Picture = Callable[..., NDArray[np.uint8]]
ZooDetector = Callable[..., tuple[Config, Any]]


def _solo(config: Config) -> None:
    config.model.backbone.depth = 18
    config.model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    config.model.mask_head.update(num_classes=6, in_channels=32, feat_channels=32, stacked_convs=2)
    config.model.mask_head.num_grids = [10, 8, 6, 4, 3]
    if "mask_feature_head" in config.model.mask_head:
        config.model.mask_head.mask_feature_head.update(feat_channels=32, out_channels=32)


def _mask2former(config: Config) -> None:
    head = config.model.panoptic_head
    head.num_queries = 20
    head.transformer_decoder.num_layers = 4
    head.pixel_decoder.encoder.num_layers = 2
    config.model.backbone.depth = 18
    head.in_channels = [64, 128, 256, 512]


CONFIGS = [
    pytest.param("solov2/solov2_r50_fpn_1x_coco", _solo, None),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("solo/solo_r50_fpn_1x_coco", _solo, (128, 192)),
            ("solo/decoupled-solo_r50_fpn_1x_coco", _solo, None),
            ("mask2former/mask2former_r50_8xb2-lsj-50e_coco", _mask2former, (128, 192)),
        )
    ),
]


@pytest.mark.parametrize(("name", "shrink", "shape"), CONFIGS)
def test_the_exported_detector_gives_what_the_detector_gives(
    name: str,
    shrink: Callable[[Config], None],
    shape: tuple[int, int] | None,
    zoo_detector: ZooDetector,
    picture: Picture,
    tmp_path: Path,
) -> None:
    config, detector = zoo_detector(name, shrink)
    spec = read_input_spec(config.test_dataloader.dataset.pipeline, config.model.data_preprocessor)
    spec = spec if shape is None else with_fixed_canvas(spec, shape, 1)
    reference = PythonDetector(detector, config.test_dataloader.dataset.pipeline, spec, find_family(detector))
    build_exported(detector, spec, torch.from_numpy(picture(9, 80, 110))).save(str(tmp_path / "model.ts"))
    landscape = picture(1, 96, 144)
    found = reference.predict(reference.prepare(landscape))
    cases = [
        Case("landscape", landscape),
        Case("portrait", picture(2, 150, 100)),
        Case("small", picture(3, 31, 47)),
        Case("wide", picture(4, 40, 300)),
        Case("black", np.zeros((90, 120, 3), np.uint8)),
        Case("none", landscape, score_thr=1.5),
    ]

    results = verify(tmp_path / "model.ts", reference, cases).cases

    counts = [result.from_image.num_got for result in results]
    assert counts[0] >= 10 and counts[-1] == 0, counts
    assert len(found.labels.unique()) >= 2
    assert found.masks is not None and found.masks.shape[1:] == (96, 144)
    shares = found.masks.flatten(1).float().mean(1)
    assert ((shares > 0.02) & (shares < 0.9)).any(), shares
    assert max(result.from_tensor.box_px for result in results) < 1e-3
    assert max(result.from_tensor.score for result in results) < 1e-5
    assert max(result.from_tensor.mask or 0.0 for result in results) < 1e-3


@pytest.mark.parametrize(
    ("name", "shrink"),
    [
        pytest.param("solov2/solov2_r50_fpn_1x_coco", _solo),
        pytest.param("mask2former/mask2former_r50_8xb2-lsj-50e_coco", _mask2former, marks=pytest.mark.slow),
    ],
)
def test_torch_export_follows_the_code_on_a_fixed_canvas(
    name: str, shrink: Callable[[Config], None], zoo_detector: ZooDetector, picture: Picture
) -> None:
    config, detector = zoo_detector(name, shrink)
    pipeline = config.test_dataloader.dataset.pipeline
    spec = with_fixed_canvas(read_input_spec(pipeline, config.model.data_preprocessor), (128, 192), 1)
    family = find_family(detector)
    reference = PythonDetector(detector, pipeline, spec, family)
    prepared = reference.prepare(picture(1, 96, 144))
    geometry = reference.geometry(prepared)

    class FromTensor(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with untraced(), torch.no_grad():
                self.network = family.network(detector)
                self.postprocess = family.postprocess(detector, self.network(prepared.tensor))

        def forward(self, tensor: torch.Tensor) -> Any:
            return self.postprocess(self.network(tensor), *geometry)

    with torch.no_grad():
        graph = torch.export.export(FromTensor().eval(), (prepared.tensor,)).module()
        boxes, scores, labels, masks = graph(prepared.tensor)

    expected = reference.predict(prepared)
    difference = compare(expected._replace(boxes=boxes, scores=scores, labels=labels, masks=masks), expected)
    assert difference.num_got == difference.num_expected >= 10
    assert difference.box_px < 1e-2 and difference.score < 1e-4
    assert difference.mask is not None and difference.mask < 1e-3


def test_a_head_of_another_kind_is_refused_by_its_name(zoo_detector: ZooDetector) -> None:
    _, detector = zoo_detector("maskformer/maskformer_r50_ms-16xb1-75e_coco")

    with pytest.raises(ExportError, match="from a MaskFormerHead and not from a Mask2FormerHead"):
        find_family(detector)


def test_panoptic_output_alone_is_refused_with_what_to_set(zoo_detector: ZooDetector) -> None:
    def panoptic_only(config: Config) -> None:
        _mask2former(config)
        config.model.test_cfg.instance_on = False

    _, detector = zoo_detector("mask2former/mask2former_r50_8xb2-lsj-50e_coco", panoptic_only)

    with pytest.raises(ExportError, match="set model.test_cfg.instance_on=true"):
        find_family(detector)
