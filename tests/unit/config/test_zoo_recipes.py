"""Schedules, augmentations, data and experiments of the zoo: alone, typed over, and mixed with others."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_research.config.dataset_tree import join, part, wrappers
from vision_research.config.errors import ConfigError
from vision_research.config.lowering import LoweringInputs, lower
from vision_research.config.schema import TrainConfig
from vision_research.config.validate import validate


def _load_parity() -> ModuleType:
    """benchmarks/zoo_parity.py, which no package holds."""
    path = Path(__file__).parents[3] / "benchmarks" / "zoo_parity.py"
    spec = importlib.util.spec_from_file_location("zoo_parity", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["zoo_parity"] = module
    spec.loader.exec_module(module)
    return module


parity = _load_parity()
Compose = Callable[..., TrainConfig]
COCO = ("data=coco", "data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json")
RCNN = "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"
RTMDET = "zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco"
YOLOX = "zoo/yolox/yolox_s_8xb8-300e_coco"
MASK = "zoo/mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco"


def lowered(typed: Compose, *words: str, **changes: Any) -> dict[str, Any]:
    config = typed(*words)
    validate(config)
    given = {"work_dir": Path("/runs/x"), "classes": ("a", "b"), "num_train": 160, "on_gpu": True, **changes}
    return lower(config, LoweringInputs(**given))


def kinds(pipeline: list[dict[str, Any]]) -> list[str]:
    return [str(step["type"]) for step in pipeline]


# -- parting and joining


def test_a_data_set_is_parted_and_joined_to_what_it_was() -> None:
    dataset = {
        "type": "RepeatDataset",
        "times": 3,
        "dataset": {
            "type": "ConcatDataset",
            "datasets": ({"type": "A", "pipeline": [{"type": "X"}]}, {"type": "B", "pipeline": [{"type": "Y"}]}),
        },
    }
    frame, datasets = part(dataset)
    assert wrappers(frame) == ["RepeatDataset", "ConcatDataset"]
    assert datasets == [{"type": "A"}, {"type": "B"}]
    assert join(frame, datasets) == dataset
    assert join(frame, [{"type": "Ours"}]) == {
        "type": "RepeatDataset",
        "times": 3,
        "dataset": {"type": "Ours", "pipeline": [{"type": "X"}]},
    }
    with pytest.raises(ValueError, match="3 data sets do not fit into 2 places"):
        join(frame, [{}, {}, {}])


def test_several_data_sets_in_one_place_are_concatenated() -> None:
    joined = join({"place": 0, "pipeline": [{"type": "X"}]}, [{"type": "A"}, {"type": "B"}])
    assert joined["type"] == "ConcatDataset"
    assert [one["pipeline"] for one in joined["datasets"]] == [[{"type": "X"}], [{"type": "X"}]]


# -- the whole file


def test_differences_tell_lists_from_tuples_and_what_is_missing() -> None:
    wanted = {"a": (1, 2), "b": {"c": 1}, "work_dir": "x"}
    assert list(parity.differences(wanted, {"a": [1, 2], "b": {"d": 1}})) == [
        "a: (1, 2) in the file, [1, 2] here",
        "b.c: is missing",
        "b.d: is not in the file",
    ]


def test_what_is_typed_is_laid_over_the_file_and_nothing_else_changes(typed: Compose) -> None:
    plain = lowered(typed, f"experiment={RCNN}")
    typed_over = lowered(typed, f"experiment={RCNN}", "schedule.lr=0.005", "data.batch_size=4", "data.root=/d")
    assert typed_over["optim_wrapper"]["optimizer"]["lr"] == 0.005
    loader = typed_over["train_dataloader"]
    assert (loader["batch_size"], loader["dataset"]["data_root"]) == (4, "/d/")
    assert typed_over["val_evaluator"]["ann_file"] == "/d/annotations/instances_val2017.json"
    changed = list(parity.differences(plain, typed_over))
    assert len(changed) == 7, changed  # those, and data_root and ann_file of validation and test


def test_the_experiment_has_the_class_count_and_the_metric_of_its_file(typed: Compose) -> None:
    tree = lowered(typed, "experiment=zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712")
    assert tree["model"]["roi_head"]["bbox_head"]["num_classes"] == 20
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "pascal_voc/mAP"
    assert lowered(typed, "experiment=zoo/rpn/rpn_r50_fpn_1x_coco")["default_hooks"]["checkpoint"]["save_best"] == (
        "coco/AR@1000"
    )


def test_another_augmentation_takes_the_file_s_variables_out(typed: Compose) -> None:
    tree = lowered(typed, f"experiment={RCNN}", "aug=flip")
    assert "train_pipeline" not in tree
    assert kinds(tree["train_dataloader"]["dataset"]["pipeline"])[0] == "LoadImageOrSkip"
    assert tree["train_dataloader"]["dataset"]["ann_file"] == "annotations/instances_train2017.json"


# -- schedules


def test_a_longer_training_stretches_the_schedule(typed: Compose) -> None:
    tree = lowered(typed, f"schedule={RCNN}", "schedule.max_epochs=24")
    assert tree["train_cfg"] == {"type": "ResumableEpochLoop", "max_epochs": 24, "val_interval": 1}
    warm_up, steps = tree["param_scheduler"]
    assert (warm_up["end"], steps["milestones"], steps["end"]) == (500, [16, 22], 24)


def test_a_very_short_training_keeps_an_end_behind_every_beginning(typed: Compose) -> None:
    tree = lowered(typed, f"schedule={RTMDET}", "schedule.max_epochs=1")
    cosine = tree["param_scheduler"][1]
    assert (cosine["begin"], cosine["end"], cosine["T_max"]) == (0, 1, 1)


def test_a_length_in_iterations_turns_the_schedule_into_iterations(typed: Compose) -> None:
    tree = lowered(typed, f"schedule={RCNN}", "schedule.max_epochs=null", "schedule.max_iters=1200")
    assert (tree["train_cfg"]["type"], tree["train_cfg"]["max_iters"]) == ("ResumableIterLoop", 1200)
    assert "max_epochs" not in tree["train_cfg"]
    steps = tree["param_scheduler"][1]
    assert (steps["by_epoch"], steps["milestones"], steps["end"]) == (False, [800, 1100], 1200)


def test_typed_parts_of_the_schedule_take_the_place_of_the_file_s(typed: Compose) -> None:
    warm_up, decay = lowered(typed, f"schedule={RCNN}", "schedule.warmup_iters=10")["param_scheduler"]
    assert (warm_up["end"], decay["milestones"]) == (10, [8, 11])
    warm_up, decay = lowered(typed, f"schedule={RCNN}", "schedule.decay=cosine")["param_scheduler"]
    assert (warm_up["end"], decay["type"]) == (500, "CosineAnnealingLR")


def test_the_recipe_s_lr_follows_the_batch_of_our_data_alone(typed: Compose) -> None:
    ours = lowered(typed, f"schedule={RCNN}", *COCO, "data.batch_size=4")
    theirs = lowered(typed, f"experiment={RCNN}", "data.batch_size=4")
    assert ours["optim_wrapper"]["optimizer"]["lr"] == pytest.approx(0.02 * 4 / 16)
    assert theirs["optim_wrapper"]["optimizer"]["lr"] == 0.02
    scaled = lowered(typed, f"experiment={RCNN}", "data.batch_size=4", "schedule.auto_scale_lr=true")
    assert scaled["optim_wrapper"]["optimizer"]["lr"] == pytest.approx(0.02 * 4 / 16)


def test_a_schedule_of_another_detector_trains_digits(typed: Compose) -> None:
    tree = lowered(typed, f"schedule={RTMDET}", "model=retinanet", "data=digits", "aug=none")
    assert tree["optim_wrapper"]["optimizer"]["type"] == "AdamW"
    assert tree["train_cfg"]["dynamic_intervals"] == [(280, 1)]
    assert tree["model"]["bbox_head"]["num_classes"] == 2


# -- augmentations around our data


def test_pipelines_of_the_zoo_load_our_images_at_our_size(typed: Compose) -> None:
    tree = lowered(typed, "model=faster_rcnn", f"aug={RTMDET}", "schedule=300e", "data=digits")
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


def test_yolox_mixing_on_another_detector_ends_with_a_stage_of_ours(typed: Compose) -> None:
    tree = lowered(typed, "model=faster_rcnn", f"aug={YOLOX}", "schedule=300e", *COCO)
    dataset = tree["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["dataset"]["type"]) == ("MultiImageMixDataset", "CocoDataset")
    assert tree["model"]["data_preprocessor"]["batch_augments"][0]["type"] == "BatchSyncRandomResize"
    hooks = {hook["type"]: hook for hook in tree["custom_hooks"]}
    assert "YOLOXModeSwitchHook" not in hooks
    final = kinds(hooks["PipelineStageHook"]["pipeline"])
    assert final[:2] == ["LoadImageOrSkip", "LoadAnnotations"]
    assert not {"Mosaic", "MixUp", "RandomAffine"} & set(final)


def test_batches_that_are_padded_to_one_size_follow_the_image_size(typed: Compose) -> None:
    jitter = "zoo/atss/atss_r18_fpn_8xb8-amp-lsj-200e_coco"

    def padded(*words: str) -> Any:
        preprocessor = lowered(typed, f"model={jitter}", "aug=none", *words)["model"]["data_preprocessor"]
        return next(augment["size"] for augment in preprocessor["batch_augments"])

    assert padded(*COCO) == (1024, 1024)
    # 800 x 1333 is what the file tests on.
    assert padded("data=digits", "data.image_size=[200,320]") == (256, 256)


def test_batches_that_are_resized_as_a_whole_follow_the_image_size(typed: Compose) -> None:
    crowd = "model=zoo/crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman"

    def scale(*words: str) -> Any:
        return lowered(typed, crowd, "aug=none", *words)["model"]["data_preprocessor"]["batch_augments"][0]["scale"]

    assert scale(*COCO) == (1400, 800)
    assert scale("data=digits", "data.image_size=[200,280]") == (280, 200)


def test_yolox_s_own_switch_stays_with_yolox(typed: Compose) -> None:
    tree = lowered(typed, f"model={YOLOX}", f"aug={YOLOX}", "schedule=300e", "aug.final_epochs=7", *COCO)
    hooks = {hook["type"]: hook for hook in tree["custom_hooks"]}
    assert hooks["YOLOXModeSwitchHook"]["num_last_epochs"] == 7
    assert "L1LossHook" not in hooks


def test_a_detector_that_pads_gets_padded_batches_where_the_file_does_not_pad(typed: Compose) -> None:
    tree = lowered(typed, "model=rtmdet_tiny", f"aug={RCNN}", "schedule=1x", *COCO)
    assert tree["model"]["data_preprocessor"]["pad_size_divisor"] == 32
    own = lowered(typed, "model=rtmdet_tiny", f"aug={RTMDET}", "schedule=300e", *COCO)
    assert "pad_size_divisor" not in own["model"]["data_preprocessor"]


def test_wrappers_of_two_data_sets_close_around_ours(typed: Compose) -> None:
    tree = lowered(typed, "model=retinanet", "aug=zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712", *COCO)
    dataset = tree["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["times"], dataset["dataset"]["type"]) == ("RepeatDataset", 3, "CocoDataset")


def test_masks_are_loaded_as_the_annotations_have_them(typed: Compose) -> None:
    def loaded(masks: str, *words: str) -> dict[str, Any]:
        dataset = lowered(typed, *words, *COCO, masks=masks)["train_dataloader"]["dataset"]
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        return next(step for step in dataset["pipeline"] if step["type"] == "LoadAnnotations")

    assert loaded("polygons", f"model={MASK}", f"aug={MASK}")["poly2mask"] is False
    assert loaded("rle", f"model={MASK}", f"aug={MASK}")["poly2mask"] is True
    assert loaded("rle", f"model={MASK}", f"aug={RCNN}")["with_mask"] is True


@pytest.mark.parametrize(
    ("aug", "need"),
    [
        ("zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval", "videos with tracks"),
        ("zoo/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco", "panoptic annotations"),
        ("zoo/htc/htc_r50_fpn_1x_coco", "a map of classes for every pixel"),
        ("zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco", "proposals that were computed before"),
    ],
)
def test_what_the_data_does_not_have_is_refused_with_the_step(typed: Compose, aug: str, need: str) -> None:
    with pytest.raises(ConfigError, match=rf"aug\.recipe\.train\..*type=.*needs {need}.*data=coco has none"):
        lowered(typed, f"aug={aug}", "schedule=1x", *COCO)


def test_one_step_of_the_file_can_be_changed_by_its_place(typed: Compose) -> None:
    words = (f"aug={RCNN}", "aug.recipe.train.pipeline.3.prob=0.25", "schedule=1x", "model=retinanet")
    tree = lowered(typed, *words, *COCO)
    flip = tree["train_dataloader"]["dataset"]["pipeline"][3]
    assert flip == {"type": "RandomFlip", "prob": 0.25}


@pytest.mark.parametrize(
    ("words", "prob"),
    [
        (("data=digits",), 0.0),
        (("data=digits", "data.flip_prob=0.25"), 0.25),
        (COCO, 0.5),
        (("data=digits", "aug.recipe.train.pipeline.3.prob=0.75"), 0.75),
    ],
)
def test_flips_of_a_file_are_as_likely_as_the_data_allows(typed: Compose, words: tuple[str, ...], prob: float) -> None:
    tree = lowered(typed, f"aug={RCNN}", "schedule=1x", "model=retinanet", *words)
    flip = next(step for step in tree["train_dataloader"]["dataset"]["pipeline"] if step["type"] == "RandomFlip")
    assert flip["prob"] == prob


def test_flips_of_a_weak_stage_are_as_likely_as_the_data_allows(typed: Compose) -> None:
    tree = lowered(typed, "model=faster_rcnn", f"aug={RTMDET}", "schedule=300e", "data=digits")
    stage = next(hook for hook in tree["custom_hooks"] if hook["type"] == "PipelineStageHook")
    assert [step["prob"] for step in stage["pipeline"] if step["type"] == "RandomFlip"] == [0.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.repeat=3",), r"data\.repeat=3: is not read with data=zoo/faster_rcnn.*Change those under data\.recipe"),
        (("data.train_ann=a.json", "data.classes=[cat]"), r"data\.train_ann=a\.json: is not read"),
        (("data.max_bad_images=3",), r"data\.max_bad_images=3: is not read"),
        (("aug.final_epochs=3",), r"aug\.final_epochs=3: aug=zoo/faster_rcnn.* has no such stage.*aug\.final_epochs=0"),
    ],
)
def test_a_knob_that_nothing_would_read_is_refused(typed: Compose, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        lowered(typed, f"experiment={RCNN}", *words)
    assert len(raised.value.problems) == len(words)


def test_our_loading_counts_bad_images_of_a_file_s_data_too(typed: Compose) -> None:
    tree = lowered(typed, f"experiment={RCNN}", "aug=flip", "data.max_bad_images=3")
    assert tree["train_dataloader"]["dataset"]["pipeline"][0]["max_skipped"] == 3


def test_images_are_read_as_the_file_s_steps_take_them(typed: Compose) -> None:
    for aug, loader in (
        ("centernet/centernet_r18_8xb16-crop512-140e_coco", "val_dataloader"),
        ("mask2former/mask2former_r50_8xb2-lsj-50e_coco", "train_dataloader"),
    ):
        tree = lowered(typed, "model=retinanet", f"aug=zoo/{aug}", "schedule=1x", *COCO)
        read = tree[loader]["dataset"]["pipeline"][0]
        assert (read["type"], read["to_float32"]) == ("LoadImageOrSkip", True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sort/sort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",), "has no training of its own"),
        (
            ("bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval",),
            r"single images\. Type aug=zoo/bytetrack/\S+ data=digits_video",
        ),
        (("fast_rcnn/fast-rcnn_r50_fpn_1x_coco",), "proposals .* or model=faster_rcnn"),
    ],
)
def test_a_detector_that_is_fed_in_another_way_is_refused(typed: Compose, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lowered(typed, f"model=zoo/{words[0]}", "data=digits", "aug=none")


def test_data_sets_of_one_file_in_the_pipelines_of_another(typed: Compose) -> None:
    voc = "zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712"
    tree = lowered(typed, f"data={voc}", f"aug={RCNN}", "schedule=1x", "model=retinanet")
    dataset = tree["train_dataloader"]["dataset"]
    assert [one["type"] for one in dataset["datasets"]] == ["VOCDataset", "VOCDataset"]
    assert all(one["pipeline"][2]["scale"] == (1333, 800) for one in dataset["datasets"])


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("+aug.recipe.train.pipeline.3._delete_=true", r"aug\.recipe\.train\.pipeline\.3\._delete_: MMEngine's"),
        ("+schedule.recipe.optim_wrapper._delete_=true", r"schedule\.recipe\.optim_wrapper\._delete_: MMEngine's"),
        ("+data.recipe.train_dataloader._base_=x", r"data\.recipe\.train_dataloader\._base_: MMEngine's"),
        ("+recipe.env_cfg._delete_=true", r"^recipe\.env_cfg\._delete_: MMEngine's"),
        ("+model.backbone._delete_=true", r"model\.backbone\._delete_: MMEngine's"),
    ],
)
def test_a_word_of_inheritance_that_is_left_over_is_refused_everywhere(typed: Compose, word: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        lowered(typed, f"experiment={RCNN}", word)


# -- parity, on one file of every family

SAMPLE = (Path(__file__).parent / "zoo_sample.txt").read_text().split()


def test_the_sample_has_every_family_that_trains() -> None:
    results = Path(__file__).parents[3] / "benchmarks" / "results" / "zoo" / "parity.json"
    trainable = json.loads(results.read_text())["configs"]
    assert {name.partition("/")[0] for name in SAMPLE} == {name.partition("/")[0] for name in trainable}


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.usefixtures("in_conf")
def test_an_experiment_is_what_its_file_says(name: str) -> None:
    assert parity.compare(name) == []
