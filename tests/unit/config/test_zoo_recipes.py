"""Experiments and schedules of the zoo: alone, typed over, and around the data of the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Lower = Callable[..., dict[str, Any]]
COCO = ("data=coco", "data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json")
RCNN = "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"
RTMDET = "zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco"


def kinds(pipeline: list[dict[str, Any]]) -> list[str]:
    return [str(step["type"]) for step in pipeline]


@pytest.mark.slow
def test_the_experiment_has_the_class_count_and_the_metric_of_its_file(lowered: Lower) -> None:
    tree = lowered("experiment=zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712")
    assert tree["model"]["roi_head"]["bbox_head"]["num_classes"] == 20
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "pascal_voc/mAP"
    assert lowered("experiment=zoo/rpn/rpn_r50_fpn_1x_coco")["default_hooks"]["checkpoint"]["save_best"] == (
        "coco/AR@1000"
    )


def test_another_augmentation_takes_the_file_s_variables_out(lowered: Lower) -> None:
    tree = lowered(f"experiment={RCNN}", "aug=flip")
    assert "train_pipeline" not in tree
    assert kinds(tree["train_dataloader"]["dataset"]["pipeline"])[0] == "LoadImageOrSkip"
    assert tree["train_dataloader"]["dataset"]["ann_file"] == "annotations/instances_train2017.json"


def test_a_longer_training_stretches_the_schedule(lowered: Lower) -> None:
    tree = lowered(f"schedule={RCNN}", "schedule.max_epochs=24")
    assert tree["train_cfg"] == {"type": "ResumableEpochLoop", "max_epochs": 24, "val_interval": 1}
    warm_up, steps = tree["param_scheduler"]
    assert (warm_up["end"], steps["milestones"], steps["end"]) == (500, [16, 22], 24)


def test_a_very_short_training_keeps_an_end_behind_every_beginning(lowered: Lower) -> None:
    tree = lowered(f"schedule={RTMDET}", "schedule.max_epochs=1")
    cosine = tree["param_scheduler"][1]
    assert (cosine["begin"], cosine["end"], cosine["T_max"]) == (0, 1, 1)


def test_a_length_in_iterations_turns_the_schedule_into_iterations(lowered: Lower) -> None:
    tree = lowered(f"schedule={RCNN}", "schedule.max_epochs=null", "schedule.max_iters=1200")
    assert (tree["train_cfg"]["type"], tree["train_cfg"]["max_iters"]) == ("ResumableIterLoop", 1200)
    assert "max_epochs" not in tree["train_cfg"]
    steps = tree["param_scheduler"][1]
    assert (steps["by_epoch"], steps["milestones"], steps["end"]) == (False, [800, 1100], 1200)


@pytest.mark.slow
def test_typed_parts_of_the_schedule_take_the_place_of_the_file_s(lowered: Lower) -> None:
    warm_up, decay = lowered(f"schedule={RCNN}", "schedule.warmup_iters=10")["param_scheduler"]
    assert (warm_up["end"], decay["milestones"]) == (10, [8, 11])
    warm_up, decay = lowered(f"schedule={RCNN}", "schedule.decay=cosine")["param_scheduler"]
    assert (warm_up["end"], decay["type"]) == (500, "CosineAnnealingLR")


@pytest.mark.slow
def test_the_recipe_s_lr_follows_the_batch_of_our_data_alone(lowered: Lower) -> None:
    ours = lowered(f"schedule={RCNN}", *COCO, "data.batch_size=4")
    theirs = lowered(f"experiment={RCNN}", "data.batch_size=4")
    assert ours["optim_wrapper"]["optimizer"]["lr"] == pytest.approx(0.02 * 4 / 16)
    assert theirs["optim_wrapper"]["optimizer"]["lr"] == 0.02
    scaled = lowered(f"experiment={RCNN}", "data.batch_size=4", "schedule.auto_scale_lr=true")
    assert scaled["optim_wrapper"]["optimizer"]["lr"] == pytest.approx(0.02 * 4 / 16)


def test_a_schedule_of_another_detector_trains_digits(lowered: Lower) -> None:
    tree = lowered(f"schedule={RTMDET}", "model=retinanet", "data=digits", "aug=none")
    assert tree["optim_wrapper"]["optimizer"]["type"] == "AdamW"
    assert tree["train_cfg"]["dynamic_intervals"] == [(280, 1)]
    assert tree["model"]["bbox_head"]["num_classes"] == 2
