"""Files of detectors with masks: what they give for one image and for batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from small_mask_detectors import shrink_mask2former, shrink_mask_rcnn, shrink_rtmdet_ins, shrink_solo

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.build.modules import Form
from vision_research.deploy.check.agreement import agree
from vision_research.deploy.check.bounds import bounds_of
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.difference import Difference
from vision_research.deploy.check.expected import Expected
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.check.verify import verify
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.runner import Runner
from vision_research.deploy.formats.onnx.writer import write
from vision_research.deploy.formats.registry import FORMATS, format_of

Picture = Callable[..., NDArray[np.uint8]]
ZooDetector = Callable[..., tuple[Config, Any]]
Agreement = Callable[..., list[tuple[Difference, Difference]]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shrink", "score_thr"),
    [
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", shrink_mask_rcnn, 1.5),
        ("solov2/solov2_r50_fpn_1x_coco", shrink_solo, 0.1),
        ("solov2/solov2_r50_fpn_1x_coco", shrink_solo, 1.5),
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
    outputs = Runner(str(tmp_path / "model.onnx"), 1).run({"image": image})
    got = Detections(*(torch.from_numpy(output) for output in outputs))
    difference = agree(got, expected, bounds_of("onnx", "fp32").tolerance, score_thr, None)
    assert (difference.num_expected >= 10) == (score_thr < 1.0), difference
    assert difference.num_got == difference.num_expected and difference.unmatched == 0, difference


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shrink", "form", "words"),
    [
        ("solov2/solov2_r50_fpn_1x_coco", shrink_solo, "torchscript", {"batch": 3}),
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", shrink_mask_rcnn, "torchscript", {"batch": None}),
        ("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", shrink_rtmdet_ins, "torchscript", {"batch": 2}),
        ("solo/decoupled-solo_r50_fpn_1x_coco", shrink_solo, "torchscript", {"batch": None, "preprocess": False}),
        ("mask2former/mask2former_r50_8xb2-lsj-50e_coco", shrink_mask2former, "torchscript", {"batch": 2}),
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco", shrink_mask_rcnn, "onnx", {"batch": 2}),
        ("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", shrink_rtmdet_ins, "openvino", {"batch": 2}),
        ("solov2/solov2_r50_fpn_1x_coco", shrink_solo, "pt2", {"batch": 2}),
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
    path, taken = tmp_path / f"model{FORMATS[form].suffix}", Form(**words)
    job = Job(detector, spec, taken, "fp32", True, [picture(9, 80, 110)])
    FORMATS[form].write(job, path)
    expected = Expected(PythonDetector(detector, pipeline, spec, family))
    cases = [Case("landscape", picture(1, 96, 144)), Case("portrait", picture(2, 150, 100))]

    checked = verify(path, expected, cases, taken, bounds_of(form, "fp32", batches_masks=True))

    # Each with its mirror image; every pair of masks is held to the bounds within `verify`.
    assert len(checked.cases) == 4
    assert all(case.overall.num_expected >= 5 and case.overall.mask is not None for case in checked.cases)
    assert checked.unmatched_share <= 0.01
    image = cases[0].image
    tensors = [expected.answer(case, taken.preprocess).prepared.tensor for case in (cases[0], Case("", image * 0))]
    two = np.stack([image, image * 0]) if taken.preprocess else torch.cat(tensors).numpy()
    images = np.concatenate([two, two[:1]])[: taken.batch or 2]
    boxes, scores, labels, masks, counts = format_of(path).load(str(path), 1).run({job.input_name: images})
    assert job.output_names == ["boxes", "scores", "labels", "masks", "counts"]
    size = images.shape[1:3] if taken.preprocess else images.shape[2:]
    assert masks.dtype == np.bool_ and masks.shape == (*scores.shape, *size)
    for place, count in enumerate(counts.tolist()):
        assert masks[place, :count].any() == (count > 0)
        assert not masks[place, count:].any() and not boxes[place, count:].any() and (labels[place, count:] == -1).all()
