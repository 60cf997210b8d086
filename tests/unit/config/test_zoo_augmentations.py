"""Pipelines of the zoo around the data of the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Lower = Callable[..., dict[str, Any]]
COCO = ("data=coco", "data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json")
RCNN = "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"
RTMDET = "zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco"
YOLOX = "zoo/yolox/yolox_s_8xb8-300e_coco"
MASK = "zoo/mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco"


def kinds(pipeline: list[dict[str, Any]]) -> list[str]:
    return [str(step["type"]) for step in pipeline]


def test_pipelines_of_the_zoo_load_our_images_at_our_size(lowered: Lower) -> None:
    tree = lowered("model=faster_rcnn", f"aug={RTMDET}", "schedule=300e", "data=digits")
    dataset = tree["train_dataloader"]["dataset"]
    assert dataset["type"] == "CocoDataset"
    mosaic = dataset["pipeline"][2]
    assert (dataset["pipeline"][0]["type"], mosaic["type"], mosaic["img_scale"]) == (
        "LoadImageOrSkip",
        "CachedMosaic",
        (192, 192),
    )
    assert tree["val_dataloader"]["dataset"]["pipeline"][0]["type"] == "LoadImageOrSkip"
    stage = next(hook for hook in tree["custom_hooks"] if hook["type"] == "PipelineStageHook")
    assert (stage["switch_at"], kinds(stage["pipeline"])[0]) == (280, "LoadImageOrSkip")


def test_yolox_mixing_on_another_detector_ends_with_a_stage_of_ours(lowered: Lower) -> None:
    tree = lowered("model=faster_rcnn", f"aug={YOLOX}", "schedule=300e", *COCO)
    dataset = tree["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["dataset"]["type"]) == ("MultiImageMixDataset", "CocoDataset")
    assert tree["model"]["data_preprocessor"]["batch_augments"][0]["type"] == "BatchSyncRandomResize"
    hooks = {hook["type"]: hook for hook in tree["custom_hooks"]}
    assert "YOLOXModeSwitchHook" not in hooks
    final = kinds(hooks["PipelineStageHook"]["pipeline"])
    assert final[:2] == ["LoadImageOrSkip", "LoadAnnotations"]
    assert not {"Mosaic", "MixUp", "RandomAffine"} & set(final)


@pytest.mark.slow
def test_batches_that_are_padded_to_one_size_follow_the_image_size(lowered: Lower) -> None:
    jitter = "zoo/atss/atss_r18_fpn_8xb8-amp-lsj-200e_coco"

    def padded(*words: str) -> Any:
        preprocessor = lowered(f"model={jitter}", "aug=none", *words)["model"]["data_preprocessor"]
        return next(augment["size"] for augment in preprocessor["batch_augments"])

    assert padded(*COCO) == (1024, 1024)
    # 800 x 1333 is what the file tests on.
    assert padded("data=digits", "data.image_size=[200,320]") == (256, 256)


@pytest.mark.slow
def test_batches_that_are_resized_as_a_whole_follow_the_image_size(lowered: Lower) -> None:
    crowd = "model=zoo/crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman"

    def scale(*words: str) -> Any:
        return lowered(crowd, "aug=none", *words)["model"]["data_preprocessor"]["batch_augments"][0]["scale"]

    assert scale(*COCO) == (1400, 800)
    assert scale("data=digits", "data.image_size=[200,280]") == (280, 200)


def test_yolox_s_own_switch_stays_with_yolox(lowered: Lower) -> None:
    tree = lowered(f"model={YOLOX}", f"aug={YOLOX}", "schedule=300e", "aug.final_epochs=7", *COCO)
    hooks = {hook["type"]: hook for hook in tree["custom_hooks"]}
    assert hooks["YOLOXModeSwitchHook"]["num_last_epochs"] == 7
    assert "L1LossHook" not in hooks


@pytest.mark.slow
def test_a_detector_that_pads_gets_padded_batches_where_the_file_does_not_pad(lowered: Lower) -> None:
    tree = lowered("model=rtmdet_tiny", f"aug={RCNN}", "schedule=1x", *COCO)
    assert tree["model"]["data_preprocessor"]["pad_size_divisor"] == 32
    own = lowered("model=rtmdet_tiny", f"aug={RTMDET}", "schedule=300e", *COCO)
    assert "pad_size_divisor" not in own["model"]["data_preprocessor"]


def test_wrappers_of_two_data_sets_close_around_ours(lowered: Lower) -> None:
    tree = lowered("model=retinanet", "aug=zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712", *COCO)
    dataset = tree["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["times"], dataset["dataset"]["type"]) == ("RepeatDataset", 3, "CocoDataset")


@pytest.mark.slow
def test_masks_are_loaded_as_the_annotations_have_them(lowered: Lower) -> None:
    def loaded(masks: str, *words: str) -> dict[str, Any]:
        dataset = lowered(*words, *COCO, masks=masks)["train_dataloader"]["dataset"]
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        return next(step for step in dataset["pipeline"] if step["type"] == "LoadAnnotations")

    assert loaded("polygons", f"model={MASK}", f"aug={MASK}")["poly2mask"] is False
    assert loaded("rle", f"model={MASK}", f"aug={MASK}")["poly2mask"] is True
    assert loaded("rle", f"model={MASK}", f"aug={RCNN}")["with_mask"] is True


def test_one_step_of_the_file_can_be_changed_by_its_place(lowered: Lower) -> None:
    words = (f"aug={RCNN}", "aug.recipe.train.pipeline.3.prob=0.25", "schedule=1x", "model=retinanet")
    tree = lowered(*words, *COCO)
    flip = tree["train_dataloader"]["dataset"]["pipeline"][3]
    assert flip == {"type": "RandomFlip", "prob": 0.25}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "prob"),
    [
        (("data=digits",), 0.0),
        (("data=digits", "data.flip_prob=0.25"), 0.25),
        (COCO, 0.5),
        (("data=digits", "aug.recipe.train.pipeline.3.prob=0.75"), 0.75),
    ],
)
def test_flips_of_a_file_are_as_likely_as_the_data_allows(lowered: Lower, words: tuple[str, ...], prob: float) -> None:
    tree = lowered(f"aug={RCNN}", "schedule=1x", "model=retinanet", *words)
    flip = next(step for step in tree["train_dataloader"]["dataset"]["pipeline"] if step["type"] == "RandomFlip")
    assert flip["prob"] == prob


def test_flips_of_a_weak_stage_are_as_likely_as_the_data_allows(lowered: Lower) -> None:
    tree = lowered("model=faster_rcnn", f"aug={RTMDET}", "schedule=300e", "data=digits")
    stage = next(hook for hook in tree["custom_hooks"] if hook["type"] == "PipelineStageHook")
    assert [step["prob"] for step in stage["pipeline"] if step["type"] == "RandomFlip"] == [0.0]


@pytest.mark.slow
def test_images_are_read_as_the_file_s_steps_take_them(lowered: Lower) -> None:
    for aug, loader in (
        ("centernet/centernet_r18_8xb16-crop512-140e_coco", "val_dataloader"),
        ("mask2former/mask2former_r50_8xb2-lsj-50e_coco", "train_dataloader"),
    ):
        tree = lowered("model=retinanet", f"aug=zoo/{aug}", "schedule=1x", *COCO)
        read = tree[loader]["dataset"]["pipeline"][0]
        assert (read["type"], read["to_float32"]) == ("LoadImageOrSkip", True)
