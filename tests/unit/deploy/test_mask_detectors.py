"""Detectors with masks of MMDetection's zoo, exported and held against the detector in Python, pixel by pixel."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.agreement import agree
from vision_research.deploy.bounds import bounds_of
from vision_research.deploy.cases import Case
from vision_research.deploy.detections import Detections, Difference, compare
from vision_research.deploy.detector import Form, find_family
from vision_research.deploy.errors import ExportError
from vision_research.deploy.expected import Expected
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx import write
from vision_research.deploy.input_shapes import with_fixed_canvas
from vision_research.deploy.input_spec import read_input_spec
from vision_research.deploy.reference import PythonDetector
from vision_research.deploy.request import FORMATS
from vision_research.deploy.runners.onnx import OnnxRunner
from vision_research.deploy.runners.runner import RUNNERS
from vision_research.deploy.tracing import untraced
from vision_research.deploy.verify import verify

Picture = Callable[..., NDArray[np.uint8]]
ZooDetector = Callable[..., tuple[Config, Any]]
Agreement = Callable[..., list[tuple[Difference, Difference]]]


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


def _mask_rcnn(config: Config) -> None:
    model, roi_head = config.model, config.model.roi_head
    model.backbone.depth = 18
    model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    model.rpn_head.update(in_channels=32, feat_channels=32)
    model.test_cfg.rpn.update(nms_pre=200, max_per_img=25)
    # More than there are proposals, so that no class can be all of them.
    model.test_cfg.rcnn.update(max_per_img=30, score_thr=0.0)
    roi_head.bbox_roi_extractor.out_channels = roi_head.mask_roi_extractor.out_channels = 32
    heads = roi_head.bbox_head if isinstance(roi_head.bbox_head, list) else [roi_head.bbox_head]
    for head in heads:
        head.update(num_classes=6, in_channels=32, fc_out_channels=64)
    for head in roi_head.mask_head if isinstance(roi_head.mask_head, list) else [roi_head.mask_head]:
        head.update(num_classes=6, in_channels=32, conv_out_channels=32, num_convs=2)
    if "mask_iou_head" in roi_head:
        roi_head.mask_iou_head.update(
            num_classes=6, in_channels=32, conv_out_channels=32, fc_out_channels=64, num_convs=2
        )


def _rtmdet_ins(config: Config) -> None:
    config.model.backbone.widen_factor = 0.125
    config.model.neck.update(in_channels=[32, 64, 128], out_channels=32)
    config.model.bbox_head.update(num_classes=6, in_channels=32, feat_channels=32)


CONFIGS = [
    pytest.param("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", _mask_rcnn, None),
    pytest.param("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", _rtmdet_ins, None),
    pytest.param("solov2/solov2_r50_fpn_1x_coco", _solo, None),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco", _mask_rcnn, (128, 192)),
            ("ms_rcnn/ms-rcnn_r50_fpn_1x_coco", _mask_rcnn, None),
            ("htc/htc-without-semantic_r50_fpn_1x_coco", _mask_rcnn, None),
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
    agreement: Agreement,
    picture: Picture,
) -> None:
    config, detector = zoo_detector(name, shrink)
    landscape = picture(1, 96, 144)
    cases = [
        Case("landscape", landscape),
        Case("portrait", picture(2, 150, 100)),
        Case("small", picture(3, 31, 47)),
        Case("wide", picture(4, 40, 300)),
        Case("black", np.zeros((90, 120, 3), np.uint8)),
        Case("none", landscape, score_thr=1.5),
    ]

    for case, differences in zip(cases, agreement(detector, config, cases, shape), strict=True):
        for difference in differences:
            assert difference.mask is not None and difference.num_got == difference.num_expected, case.name
            assert difference.box_px < 1e-3 and difference.score < 1e-5 and difference.mask < 1e-3, case.name
            assert difference.num_expected >= 10 if case.name == "landscape" else True
            assert difference.num_expected == 0 if case.name == "none" else True
    _assert_various(detector, config, landscape)


def _assert_various(detector: Any, config: Config, image: NDArray[np.uint8]) -> None:
    """Several classes, and masks that are neither empty nor all of the image."""
    pipeline = config.test_dataloader.dataset.pipeline
    spec = read_input_spec(pipeline, config.model.data_preprocessor)
    reference = PythonDetector(detector, pipeline, spec, find_family(detector))
    found = reference.predict(reference.prepare(image))
    assert found.masks is not None and found.masks.shape[1:] == image.shape[:2]
    shares = found.masks.flatten(1).float().mean(1)
    assert ((shares > 0.02) & (shares < 0.9)).any(), shares
    assert len(found.labels.unique()) >= 2


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shrink", "score_thr"),
    [
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", _mask_rcnn, 1.5),
        ("solov2/solov2_r50_fpn_1x_coco", _solo, 0.1),
        ("solov2/solov2_r50_fpn_1x_coco", _solo, 1.5),
    ],
)
def test_an_onnx_file_gives_the_masks_and_none_where_nothing_is_found(
    name: str,
    shrink: Callable[[Config], None],
    score_thr: float,
    zoo_detector: ZooDetector,
    picture: Picture,
    tmp_path: Path,
) -> None:
    config, detector = zoo_detector(name, shrink)
    pipeline = config.test_dataloader.dataset.pipeline
    spec, family = read_input_spec(pipeline, config.model.data_preprocessor), find_family(detector)
    family.test_cfg(detector).score_thr = score_thr
    reference = PythonDetector(detector, pipeline, spec, family)
    image = picture(1, 96, 144)

    write(Job(detector, spec, Form(), "fp32", True, [picture(9, 80, 110)]), tmp_path / "model.onnx")

    expected = reference.predict(reference.prepare(image))
    outputs = OnnxRunner(str(tmp_path / "model.onnx"), 1).run({"image": image})
    got = Detections(*(torch.from_numpy(output) for output in outputs))
    difference = agree(got, expected, bounds_of("onnx", "fp32").tolerance, score_thr, None)
    assert (difference.num_expected >= 10) == (score_thr < 1.0), difference
    assert difference.num_got == difference.num_expected and difference.unmatched == 0, difference


@pytest.mark.parametrize(
    ("name", "shrink", "form", "words"),
    [
        pytest.param("solov2/solov2_r50_fpn_1x_coco", _solo, "torchscript", {"batch": 3}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", _mask_rcnn, "torchscript", {"batch": None}),
                ("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", _rtmdet_ins, "torchscript", {"batch": 2}),
                ("solo/decoupled-solo_r50_fpn_1x_coco", _solo, "torchscript", {"batch": None, "preprocess": False}),
                ("mask2former/mask2former_r50_8xb2-lsj-50e_coco", _mask2former, "torchscript", {"batch": 2}),
                ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", _mask_rcnn, "onnx", {"batch": 2}),
                ("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", _rtmdet_ins, "openvino", {"batch": 2}),
                ("solov2/solov2_r50_fpn_1x_coco", _solo, "pt2", {"batch": 2}),
            )
        ),
    ],
)
def test_a_batch_gives_the_masks_of_each_image_and_empty_ones_past_its_count(
    name: str,
    shrink: Callable[[Config], None],
    form: str,
    words: dict[str, Any],
    zoo_detector: ZooDetector,
    picture: Picture,
    tmp_path: Path,
) -> None:
    config, detector = zoo_detector(name, shrink)
    for layer, weight in detector.named_parameters():
        if "fc_cls" in layer or "rpn_cls" in layer:
            # So that scores differ, where most would be 1.
            weight.data.mul_(0.05)
    pipeline = config.test_dataloader.dataset.pipeline
    spec, family = read_input_spec(pipeline, config.model.data_preprocessor), find_family(detector)
    path, taken = tmp_path / f"model{FORMATS[form]}", Form(**words)
    job = Job(detector, spec, taken, "fp32", True, [picture(9, 80, 110)])
    importlib.import_module(f"vision_research.deploy.formats.{form}").write(job, path)
    expected = Expected(PythonDetector(detector, pipeline, spec, family))
    cases = [Case("landscape", picture(1, 96, 144)), Case("portrait", picture(2, 150, 100))]

    checked = verify(path, expected, cases, taken, bounds_of(form, "fp32", batches_masks=True))

    # Each with its mirror image; every pair of masks is held to the bounds within `verify`.
    assert len(checked.cases) == 4
    assert all(case.overall.num_expected >= 5 and case.overall.mask is not None for case in checked.cases)
    assert checked.unmatched_share <= 0.01
    image = cases[0].image
    tensors = [expected.answer(case, taken.preprocess).prepared.tensor for case in (cases[0], Case("", image * 0))]
    images = np.stack([image, image * 0]) if taken.preprocess else torch.cat(tensors).numpy()
    images = np.concatenate([images, images[:1]])[: taken.batch or 2]
    boxes, scores, labels, masks, counts = RUNNERS[path.suffix].load(str(path), 1).run({job.input_name: images})
    assert job.output_names == ["boxes", "scores", "labels", "masks", "counts"]
    assert masks.dtype == np.bool_ and masks.shape == (
        *scores.shape,
        *(images.shape[1:3] if taken.preprocess else images.shape[2:]),
    )
    for place, count in enumerate(counts.tolist()):
        assert masks[place, :count].any() == (count > 0)
        assert not masks[place, count:].any() and not boxes[place, count:].any() and (labels[place, count:] == -1).all()


def test_a_head_of_another_kind_is_refused_by_its_name(zoo_detector: ZooDetector) -> None:
    _, detector = zoo_detector("maskformer/maskformer_r50_ms-16xb1-75e_coco")

    with pytest.raises(ExportError, match="from a MaskFormerHead and not from a Mask2FormerHead"):
        find_family(detector)


def test_a_mask_head_with_a_path_of_its_own_is_refused_by_the_methods_it_changes(zoo_detector: ZooDetector) -> None:
    _, detector = zoo_detector("point_rend/point-rend_r50-caffe_fpn_ms-1x_coco", _mask_rcnn)

    with pytest.raises(ExportError, match="PointRendRoIHead has its own predict_mask"):
        find_family(detector)


def test_panoptic_output_alone_is_refused_with_what_to_set(zoo_detector: ZooDetector) -> None:
    def panoptic_only(config: Config) -> None:
        _mask2former(config)
        config.model.test_cfg.instance_on = False

    _, detector = zoo_detector("mask2former/mask2former_r50_8xb2-lsj-50e_coco", panoptic_only)

    with pytest.raises(ExportError, match="set model.test_cfg.instance_on=true"):
        find_family(detector)
