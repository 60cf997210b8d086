"""Query detectors of MMDetection's zoo, exported and held against the detector in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.difference import Difference, compare
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.families.tracing import untraced

Picture = Callable[..., NDArray[np.uint8]]
ZooDetector = Callable[[str], tuple[Config, Any]]

# On a canvas the transformer's padding mask has something to do.
CONFIGS = [
    ("deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco", (128, 192)),
    ("detr/detr_r50_8xb2-150e_coco", (128, 192)),
    ("conditional_detr/conditional-detr_r50_8xb2-50e_coco", None),
    ("dab_detr/dab-detr_r50_8xb2-50e_coco", (128, 192)),
    ("deformable_detr/deformable-detr_r50_16xb2-50e_coco", None),
    ("deformable_detr/deformable-detr-refine_r50_16xb2-50e_coco", None),
    ("dino/dino-4scale_r50_8xb2-12e_coco", (128, 192)),
    ("sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco", (128, 192)),
]


@pytest.fixture
def shrunk() -> Callable[[Config], None]:
    """Make a query detector's config small, with every code path left: fewer layers and queries."""

    def shrink(config: Config) -> None:
        model = config.model
        if "roi_head" in model:
            _shrink_sparse(model)
            return
        model.num_queries = 40
        if model.backbone.depth == 50:
            model.backbone.depth = 18
            model.neck.in_channels = [channels // 4 for channels in model.neck.in_channels]
        for part in (model.encoder, model.decoder):
            part.num_layers = 2
        # With a softmax each query is found once at most.
        model.setdefault("test_cfg", {})["max_per_img"] = 60 if model.bbox_head.loss_cls.use_sigmoid else 30

    return shrink


def _shrink_sparse(model: Any) -> None:
    model.backbone.depth = 18
    model.neck.in_channels = [64, 128, 256, 512]
    model.rpn_head.num_proposals = 40
    model.roi_head.update(num_stages=2, stage_loss_weights=[1, 1], bbox_head=model.roi_head.bbox_head[:2])
    model.test_cfg.rcnn.max_per_img = 60


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), CONFIGS)
def test_the_exported_detector_gives_what_the_detector_gives(
    name: str,
    shape: tuple[int, int] | None,
    zoo_detector: Callable[..., tuple[Config, Any]],
    shrunk: Callable[[Config], None],
    agreement: Callable[..., list[tuple[Difference, Difference]]],
    picture: Picture,
) -> None:
    config, detector = zoo_detector(name, shrunk)
    pipeline = config.test_dataloader.dataset.pipeline
    spec = read_input_spec(pipeline, config.model.data_preprocessor)
    spec = spec if shape is None else with_fixed_canvas(spec, shape, 1)
    reference = PythonDetector(detector, pipeline, spec, find_family(detector))
    landscape = picture(1, 96, 144)
    found = reference.predict(reference.prepare(landscape))
    descending = found.scores.sort(descending=True)[0]
    few = int((descending[:-1] - descending[1:]).argmax()) + 1
    cases = [
        Case("landscape", landscape),
        Case("portrait", picture(2, 150, 100)),
        Case("small", picture(3, 31, 47)),
        Case("wide", picture(4, 40, 300)),
        Case("black", np.zeros((90, 120, 3), np.uint8)),
        Case("few", landscape, score_thr=float(descending[few - 1 : few + 1].mean())),
        Case("none", landscape, score_thr=1.5),
    ]

    results = agreement(detector, config, cases, shape)

    assert len(found.labels.unique()) >= 2
    counts = [reference.max_per_img] * 5 + [few, 0]
    for case, count, differences in zip(cases, counts, results, strict=True):
        for difference in differences:
            assert difference.num_got == difference.num_expected == count, case.name
            assert difference.box_px < 1e-3 and difference.score < 1e-5, case.name


@pytest.mark.slow
def test_torch_export_follows_the_code_on_a_fixed_canvas(
    zoo_detector: Callable[..., tuple[Config, Any]], shrunk: Callable[[Config], None], picture: Picture
) -> None:
    config, detector = zoo_detector("deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco", shrunk)
    pipeline = config.test_dataloader.dataset.pipeline
    spec = with_fixed_canvas(read_input_spec(pipeline, config.model.data_preprocessor), (128, 192), 1)
    family = find_family(detector)
    reference = PythonDetector(detector, pipeline, spec, family)
    prepared = reference.prepare(picture(1, 96, 144))
    clip, scale_factor = reference.geometry(prepared)

    class FromTensor(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with untraced(), torch.no_grad():
                self.network = family.network(detector)
                self.postprocess = family.postprocess(detector, self.network(prepared.tensor))

        def forward(self, tensor: torch.Tensor) -> Any:
            return self.postprocess(self.network(tensor), clip, scale_factor)

    with torch.no_grad():
        graph = torch.export.export(FromTensor().eval(), (prepared.tensor,)).module()
        boxes, scores, labels = graph(prepared.tensor)

    expected = reference.predict(prepared)
    difference = compare(expected._replace(boxes=boxes, scores=scores, labels=labels), expected)
    assert difference.num_got == difference.num_expected == 60
    assert difference.box_px < 1e-2 and difference.score < 1e-4


@pytest.mark.slow
def test_distinct_queries_are_refused_by_the_methods_that_choose_them(
    zoo_detector: Callable[..., tuple[Config, Any]],
) -> None:
    _, detector = zoo_detector("ddq/ddq-detr-4scale_r50_8xb2-12e_coco")

    with pytest.raises(ExportError, match="DDQDETR cannot be exported") as error:
        find_family(detector)

    assert "DDQDETR has its own pre_decoder" in str(error.value)
