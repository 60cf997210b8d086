"""Validation: bad values are named with their key, what is allowed, and what to type; all of them at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.option_rules import data_problems
from vision_research.config.schema import TrainConfig
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["schedule=300e", "aug=mosaic_mixup"],
        ["debug=one_batch"],
        ["model=yolox_tiny"],
        ["export.shape=[1080,1920]"],
    ],
)
def test_good_runs_pass(typed: Compose, overrides: list[str]) -> None:
    validate(specify(typed(*overrides)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.max_epochs=null", "exactly one of them has to be set"),
        ("schedule.max_iters=100", "exactly one of them has to be set"),
        ("schedule.max_epochs=0", "schedule.max_epochs=0: has to be 1 or more"),
        ("schedule.lr=0", r"schedule.lr=0.0: has to be over 0"),
        ("schedule.optimizer=SGD", "the recipe's lr is for AdamW. Type schedule.lr=0.001"),
        ("+schedule.optimizer_args.lr=1", "has a key of its own"),
        ("schedule.dynamic_intervals=[[20]]", r"Type schedule.dynamic_intervals=\[\[20,1\]\]"),
        ("schedule.dynamic_intervals=[[20,1],[5,2]]", "the starts have to rise"),
        ("schedule.milestones=[8,11]", r"schedule.milestones.0=8.0: is a share of the training"),
        ("aug.final_epochs=10", "aug.final is null, so there is no weak pipeline .* Type aug.final_epochs=0, or"),
        ("+aug.train.odd=3", "aug.train.odd=3: a step has a type"),
        ("data.batch_size=0", "data.batch_size=0: has to be 1 or more"),
        ("data.flip_prob=2", "data.flip_prob=2.0: is a probability"),
        ("image_size=[16,16]", r"image_size=\[16, 16\]: is \[height, width\]"),
        ("image_size=[250,256]", r"multiples of 32. Type image_size=\[256,256\]"),
        ("export.shape=[8,96]", r"export.shape=\[8, 96\]: is \[height, width\], dynamic or null"),
        ("export.shape=any", "export.shape=any: is .* Type export.shape="),
        ("export.shape=dynamic", r"bounds are those of a dynamic shape. Type .*export.bounds="),
        ("export.bounds=[[64,64],[32,32]]", "is the smallest and the largest"),
        ("export.batch=0", "is a number of images or dynamic"),
        (
            "export={fuse: true, formats: [onnx]}",
            r"export.fuse=true with .*\[onnx\]: it is of TorchScript",
        ),
        ("export.formats=[onnx,onnx]", r"export.formats=\[onnx,onnx\]: names one twice"),
        ("hw.num_procs=0", "hw.num_procs=0: has to be 1 or more"),
        ("hw=2x8gpu", "Type hw.rdzv_endpoint=HOST:29400"),
        ("model.weights=imagenet", "model.weights=imagenet: is none, backbone, coco .*, or a checkpoint: FILE.pth"),
        ("+model.backbone._delete_=true", "model.backbone._delete_: MMEngine's _delete_ has no meaning here"),
        ("resume=3", "resume=3: is true, false or a work_dir"),
        ("log_interval=0", "log_interval=0: has to be 1 or more"),
    ],
)
def test_bad_value_is_named_with_the_way_out(typed: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(specify(typed(override)))


def test_a_weak_stage_as_long_as_the_training_is_refused(typed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"Type aug.final_epochs=9 or less, or schedule.max_epochs=11 or more"):
        validate(specify(typed("aug=mosaic", "aug.final_epochs=10")))


@pytest.mark.slow
def test_a_mirror_image_that_no_step_makes_is_refused(typed: Compose) -> None:
    validate(specify(typed("aug=flip", "data.flip_prob=0.3")))
    for aug in ("none", "vertical_flip"):
        with pytest.raises(ConfigError, match=r"data\.flip_prob=0\.3: no step of aug\.train mirrors.*Type aug=flip"):
            validate(specify(typed(f"aug={aug}", "data.flip_prob=0.3")))


def test_half_precision_on_the_cpu_is_refused(typed: Compose) -> None:
    with pytest.raises(ConfigError, match="Type hw.precision=bf16"):
        validate(specify(typed("hw=cpu", "hw.precision=fp16")))


def test_all_problems_are_raised_at_once(typed: Compose) -> None:
    with pytest.raises(ConfigError) as raised:
        validate(specify(typed("data.batch_size=0", "schedule.lr=-1", "aug.final_epochs=99")))
    assert len(raised.value.problems) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind"), [("mask_rcnn", "MaskRCNN"), ("rtmdet_ins_s", "RTMDet")])
def test_transforms_that_leave_masks_behind_are_refused_for_detectors_with_masks(
    typed: Compose, model: str, kind: str
) -> None:
    validate(specify(typed("model=yolox_s", "aug=yolox", "schedule=1x")))
    with pytest.raises(ConfigError) as raised:
        validate(specify(typed(f"model={model}", "aug=yolox", "schedule=1x")))
    affine = next(problem for problem in raised.value.problems if "RandomAffine" in problem)
    assert affine == (
        f"aug.train.affine.type=RandomAffine: moves boxes and no masks, and model={kind} is trained on masks. "
        "Type aug=rtmdet, or aug.train.affine=null"
    )


def test_a_detector_without_a_published_checkpoint_is_refused_by_name(typed: Callable[..., TrainConfig]) -> None:
    with pytest.raises(ConfigError, match=r"model.weights=coco: .* no checkpoint of yolox/yolox_m_8xb8-300e_coco. Ty"):
        validate(specify(typed("model=yolox_m", "model.weights=coco")))


@pytest.mark.slow
def test_images_too_small_for_a_detector_are_refused_with_a_size_that_does(typed: Callable[..., TrainConfig]) -> None:
    with pytest.raises(ConfigError, match=r"image_size=\[192, 192\]: .*of 300 .*Type image_size=\[300,300\]"):
        validate(specify(typed("model=ssd")))
    with pytest.raises(ConfigError, match=r"900 queries .* has 384. Type image_size=\[320,320\], or .*=300"):
        validate(specify(typed("model=dino")))
    validate(specify(typed("model=ssd", "image_size=[300,300]")))
    validate(specify(typed("model=dino", "image_size=[320,320]")))
    validate(specify(typed("model=dino", "model.num_queries=300")))
    validate(specify(typed("model=deformable_detr")))


@pytest.mark.slow
def test_a_detector_of_crowds_wants_one_class_and_an_object_in_every_image(typed: Compose) -> None:
    crowd = "model=zoo/crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman"
    (problem,) = data_problems(typed(crowd), ("cat", "dog"))
    assert "the data has 2 classes: cat, dog. Type data.classes=['cat']" in problem
    (problem,) = data_problems(typed(crowd, "data.keep_empty=true"), ("cat",))
    assert problem.endswith("Type data.keep_empty=false")
    assert not [*data_problems(typed(crowd), ("cat",)), *data_problems(typed("data.keep_empty=true"), ("cat", "dog"))]
