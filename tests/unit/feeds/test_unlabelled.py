"""A teacher and a student: what they are fed with, what they are scored by, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
SOFT = "zoo/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco"
WORDS = (f"model={SOFT}", f"aug={SOFT}", "data=digits_semi", "data.root=/d")


def lowered(typed: Compose, *words: str) -> dict[str, Any]:
    config = typed(*words)
    validate(specify(config))
    return lower(specify(config), LoweringInputs(Path("/runs/x"), ("a", "b", "c"), num_train=100))


def refused(typed: Compose, *words: str) -> str:
    with pytest.raises(ConfigError) as error:
        validate(specify(typed(*words)))
    return str(error.value)


def test_labelled_and_unlabelled_images_go_through_the_branches_of_the_file(typed: Compose) -> None:
    loader = lowered(typed, *WORDS)["train_dataloader"]
    assert loader["sampler"] == {
        "type": "SourceRatioSampler",
        "batch_size": 5,
        "source_ratio": [1, 4],
        "infinite": False,
    }
    labelled, unlabelled = loader["dataset"]["datasets"]
    assert (labelled["type"], labelled["ann_file"]) == ("CocoDataset", "annotations/train.json")
    assert (unlabelled["type"], unlabelled["ann_file"]) == ("UnlabelledDataset", "annotations/unlabelled.json")
    assert unlabelled["data_prefix"] == {"img": "images/"}
    assert unlabelled["metainfo"] == labelled["metainfo"] == {"classes": ("a", "b", "c")}
    kinds = [[step["type"] for step in source["pipeline"]] for source in (labelled, unlabelled)]
    assert kinds[0][:3] == ["LoadImageOrSkip", "LoadAnnotations", "RandomResize"] and kinds[0][-1] == "MultiBranch"
    assert kinds[1] == ["LoadImageOrSkip", "LoadEmptyAnnotations", "MultiBranch"]
    branches = unlabelled["pipeline"][-1]
    # 192 x 192 in place of 800 x 1333, and digits are not mirrored.
    assert branches["unsup_teacher"][0]["scale"] == [(192, 96), (192, 288)]
    assert [step["prob"] for step in branches["unsup_student"] if step["type"] == "RandomFlip"] == [0.0]


def test_an_own_folder_of_unlabelled_images_and_repeats_of_the_labelled_ones(typed: Compose) -> None:
    words = ("data.unlabelled_prefix=unlabelled2017/", "data.repeat=3", "data.source_ratio=[2,3]")
    labelled, unlabelled = lowered(typed, *WORDS, *words)["train_dataloader"]["dataset"]["datasets"]
    assert (labelled["type"], labelled["times"], unlabelled["type"]) == ("RepeatDataset", 3, "UnlabelledDataset")
    assert unlabelled["data_prefix"] == {"img": "unlabelled2017/"}


def test_the_warm_up_counts_epochs_of_the_labelled_images(typed: Compose) -> None:
    # One labelled image a batch: 100 iterations an epoch, and not 20.
    scheduler = lowered(typed, *WORDS, "schedule.max_epochs=2", "schedule.warmup_iters=500")["param_scheduler"][0]
    assert (scheduler["type"], scheduler["end"]) == ("LinearLR", 20)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["tiny", "iters", SOFT, "zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco"])
def test_both_are_validated_and_the_student_teaches_whatever_the_schedule(typed: Compose, schedule: str) -> None:
    tree = lowered(typed, *WORDS, f"schedule={schedule}")
    assert tree["val_cfg"]["type"] == "TeacherStudentValLoop"
    assert "MeanTeacherHook" in [hook["type"] for hook in tree["custom_hooks"]]
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "teacher/coco/bbox_mAP"
    assert tree["train_dataloader"]["sampler"]["infinite"] is (schedule in ("iters", SOFT))
    assert tree["model"]["detector"]["roi_head"]["bbox_head"]["num_classes"] == 3


def test_another_detector_is_validated_alone_with_the_schedule_of_a_teacher(typed: Compose) -> None:
    tree = lowered(typed, "model=rtmdet_tiny", f"schedule={SOFT}")
    assert tree["val_cfg"]["type"] == "ValLoop"
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "coco/bbox_mAP"


@pytest.mark.slow
def test_what_predicts_is_what_the_best_checkpoint_is_chosen_by(typed: Compose) -> None:
    assert typed(*WORDS, "model.semi_test_cfg.predict_on=student").schedule.monitor == "student/coco/bbox_mAP"
    assert typed(f"experiment={SOFT}").schedule.monitor == "teacher/coco/bbox_mAP"


@pytest.mark.slow
def test_with_the_data_of_the_file_a_typed_batch_reaches_the_sampler(typed: Compose) -> None:
    loader = lowered(typed, f"experiment={SOFT}", "data.batch_size=10")["train_dataloader"]
    assert loader["sampler"] == {"type": "GroupMultiSourceSampler", "batch_size": 10, "source_ratio": [1, 4]}
    untouched = lowered(typed, f"experiment={SOFT}")["train_dataloader"]
    assert untouched["sampler"]["batch_size"] == untouched["batch_size"] == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((f"model={SOFT}", f"aug={SOFT}", "data=digits"), "Type data.unlabelled_ann=FILE.json"),
        ((f"model={SOFT}", "data=digits_semi", "aug=flip"), f"has only one pipeline. Type aug={SOFT}"),
        (("model=rtmdet_tiny", "data=digits_semi"), "Type data.unlabelled_ann=null to train it on those"),
        (("model=rtmdet_tiny", "data.unlabelled_prefix=u/"), "is not read without data.unlabelled_ann"),
        (("model=rtmdet_tiny", "data.source_ratio=[1,1]"), "has one source of images"),
        (("model=rtmdet_tiny", f"aug={SOFT}"), "model=RTMDet has neither. Type another aug=OPTION"),
        ((f"experiment={SOFT}", "model=rtmdet_tiny"), "model=RTMDet has neither"),
        (
            (f"experiment={SOFT}", "data.unlabelled_ann=u.json"),
            "data.unlabelled_ann=u.json: is not read with",
        ),
        ((*WORDS, "~model.recipe.hooks.MeanTeacherHook"), "the teacher of model=SoftTeacher stays as it began"),
        ((*WORDS, "schedule.monitor=coco/bbox_mAP"), "Type schedule.monitor=teacher/coco/bbox_mAP"),
        ((*WORDS, "hw.channels_last=true"), "hw.channels_last=true: model=SoftTeacher has two backbones"),
        ((*WORDS, "data.batch_size=1"), "every batch has images of both kinds. Type data.batch_size=5"),
        ((*WORDS, "data.source_ratio=[1]"), "Type data.source_ratio=[1,4]"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_type(typed: Compose, words: tuple[str, ...], said: str) -> None:
    assert said in refused(typed, *words)


def test_the_labelled_images_alone_train_any_detector(typed: Compose) -> None:
    tree = lowered(typed, "model=faster_rcnn", "data=digits_semi", "data.unlabelled_ann=null")
    assert tree["train_dataloader"]["dataset"]["type"] == "CocoDataset"
