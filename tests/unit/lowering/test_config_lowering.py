"""Lowering: each knob reaches the MMEngine config, once, in the type that MMEngine takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.lowering.model import pretrained_parts
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]


def inputs(**changes: Any) -> LoweringInputs:
    return LoweringInputs(**{"work_dir": Path("/runs/x"), "classes": ("a", "b", "c"), "num_train": 100, **changes})


def lowered(typed: Compose, *overrides: str, **changes: Any) -> dict[str, Any]:
    return lower(specify(typed(*overrides)), inputs(**changes))


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from nodes(value)
    if isinstance(tree, (list, tuple)):
        for value in tree:
            yield from nodes(value)


def hook(tree: dict[str, Any], kind: str) -> dict[str, Any] | None:
    return next((found for found in tree["custom_hooks"] if found["type"] == kind), None)


@pytest.mark.parametrize("model", ["faster_rcnn", "retinanet", "rtmdet_tiny", "yolox_tiny"])
def test_the_class_count_of_the_data_reaches_every_head(typed: Compose, model: str) -> None:
    tree = lowered(typed, f"model={model}")
    counts = [node["num_classes"] for node in nodes(tree["model"]) if "num_classes" in node]
    assert counts and set(counts) == {3}


def test_a_detector_without_a_class_count_is_refused(typed: Compose) -> None:
    config = typed()
    config.model = {"type": "Headless", "backbone": {"type": "ResNet", "num_classes": 1000}, "weights": "none"}
    with pytest.raises(ConfigError, match=r"Headless has no head with `num_classes`.*model=rtmdet_tiny"):
        lower(specify(config), inputs())


def test_training_from_scratch_leaves_nothing_frozen(typed: Compose) -> None:
    backbone = lowered(typed, "model=faster_rcnn", "model.weights=none")["model"]["backbone"]
    assert backbone["frozen_stages"] == -1
    assert backbone["norm_eval"] is False
    assert backbone["init_cfg"] is None


def test_pretrained_weights_stay_as_the_zoo_names_them(typed: Compose) -> None:
    model = lowered(typed, "model=faster_rcnn", "model.weights=backbone")["model"]
    assert [part["checkpoint"] for part in pretrained_parts(model)] == ["torchvision://resnet50"]
    assert model["backbone"]["frozen_stages"] == 1


@pytest.mark.slow
def test_synchronized_batch_norm_is_plain_on_the_cpu_alone(typed: Compose) -> None:
    def norms(tree: dict[str, Any]) -> set[str]:
        return {node["norm_cfg"]["type"] for node in nodes(tree["model"]) if node.get("norm_cfg")}

    on_cpu, on_gpu = lowered(typed), lowered(typed, on_gpu=True)
    assert norms(on_cpu) == {"BN"}
    assert on_cpu["model"]["use_syncbn"] is False
    assert norms(on_gpu) == {"SyncBN"}
    assert "use_syncbn" not in on_gpu["model"]


def test_tuples_of_the_zoo_come_back(typed: Compose) -> None:
    model = lowered(typed, "model=faster_rcnn")["model"]
    assert model["backbone"]["out_indices"] == (0, 1, 2, 3)
    assert model["neck"]["in_channels"] == [256, 512, 1024, 2048]


def test_sizes_are_height_and_width_above_and_width_and_height_below(typed: Compose) -> None:
    tree = lowered(typed, "image_size=[320,416]", "aug=mosaic")
    steps = {step["type"]: step for step in tree["train_dataloader"]["dataset"]["pipeline"]}
    assert steps["CachedMosaic"]["img_scale"] == (416, 320)
    assert steps["RandomResize"]["scale"] == (832, 640)
    assert steps["RandomCrop"]["crop_size"] == (416, 320)
    test = {step["type"]: step for step in tree["val_dataloader"]["dataset"]["pipeline"]}
    assert test["Resize"]["scale"] == (416, 320)
    assert test["Pad"]["size"] == (416, 320)


def test_a_step_that_is_null_is_gone(typed: Compose) -> None:
    tree = lowered(typed, "aug=mosaic", "aug.train.colour=null")
    assert "YOLOXHSVRandomAug" not in [step["type"] for step in tree["train_dataloader"]["dataset"]["pipeline"]]


@pytest.mark.parametrize(
    ("overrides", "switch_at"),
    [
        (["schedule.max_epochs=10", "aug.final_epochs=3"], 7),
        (["schedule=iters", "schedule.max_iters=500", "aug.final_epochs=3", "data.batch_size=10"], 470),
    ],
)
def test_the_weak_stage_is_the_last_epochs(typed: Compose, overrides: list[str], switch_at: int) -> None:
    stage = hook(lowered(typed, "aug=mosaic_mixup", *overrides), "PipelineStageHook")
    assert stage is not None
    assert stage["switch_at"] == switch_at
    kinds = [step["type"] for step in stage["pipeline"]]
    assert "CachedMosaic" not in kinds and "CachedMixUp" not in kinds and kinds[-1] == "PackDetInputs"


def test_yolox_adds_its_l1_loss_with_the_weak_stage(typed: Compose) -> None:
    tree = lowered(typed, "model=yolox_tiny", "aug=mosaic", "schedule.max_epochs=10", "aug.final_epochs=3")
    l1 = hook(tree, "L1LossHook")
    assert l1 is not None and l1["switch_at"] == 7


def test_yolox_batch_sizes_follow_the_image_size(typed: Compose) -> None:
    model = lowered(typed, "model=yolox_tiny", "image_size=[208,208]")["model"]
    assert model["data_preprocessor"]["batch_augments"][0]["random_size_range"] == (160, 320)


@pytest.mark.slow
def test_ema_is_the_recipes_unless_it_is_typed(typed: Compose) -> None:
    assert hook(lowered(typed), "EMAHook") is not None
    assert hook(lowered(typed, "schedule.ema=false"), "EMAHook") is None
    assert hook(lowered(typed, "model=retinanet"), "EMAHook") is None
    typed_ema = hook(lowered(typed, "model=retinanet", "schedule.ema=true", "schedule.ema_momentum=0.01"), "EMAHook")
    assert typed_ema is not None and typed_ema["momentum"] == 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "kind"),
    [
        ("hw.compile=true", "CompilePartsHook"),
        ("hw.channels_last=true", "ChannelsLastHook"),
        ("hw.activation_checkpointing=true", "ActivationCheckpointingHook"),
        ("schedule.early_stopping=5", "ResumableEarlyStoppingHook"),
    ],
)
def test_one_override_turns_one_thing_on(typed: Compose, override: str, kind: str) -> None:
    assert hook(lowered(typed), kind) is None
    assert hook(lowered(typed, override), kind) is not None


@pytest.mark.slow
def test_data_is_wrapped_inside_out(typed: Compose) -> None:
    dataset = lowered(typed, "data.repeat=3", "data.oversample_thr=0.1")["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["times"]) == ("RepeatDataset", 3)
    assert (dataset["dataset"]["type"], dataset["dataset"]["oversample_thr"]) == ("ClassBalancedDataset", 0.1)
    assert dataset["dataset"]["dataset"]["type"] == "CocoDataset"


def test_a_shortened_split_is_not_scored_against_the_images_it_leaves_out(typed: Compose) -> None:
    tree = lowered(typed, "data.limit_val=8")
    assert tree["val_evaluator"]["ann_file"] is None
    assert "instances" in tree["val_dataloader"]["dataset"]["pipeline"][-1]["meta_keys"]


def test_without_tracking_nothing_is_spooled(typed: Compose) -> None:
    backends = lowered(typed, "tracking=none")["visualizer"]["vis_backends"]
    assert [backend["type"] for backend in backends] == ["LocalVisBackend"]


@pytest.mark.slow
def test_a_backbone_of_another_library_inherits_only_the_stages_that_the_neck_reads(
    typed: Callable[..., TrainConfig],
) -> None:
    words = ["model=faster_rcnn", "model.backbone.type=mmpretrain.ConvNeXt", "+model.backbone.arch=tiny"]
    tree = lowered(typed, *words)
    assert tree["model"]["backbone"] == {
        "type": "mmpretrain.ConvNeXt",
        "arch": "tiny",
        "out_indices": tree["model"]["backbone"]["out_indices"],
    }
    assert list(tree["model"]["backbone"]["out_indices"]) == [0, 1, 2, 3]
    assert "mmpretrain.models" in tree["custom_imports"]["imports"]
    same_library = lowered(typed, "model=faster_rcnn", "model.backbone.type=ResNeXt", "+model.backbone.groups=32")
    assert same_library["model"]["backbone"]["depth"] == 50
    assert "mmpretrain.models" not in same_library["custom_imports"]["imports"]


@pytest.mark.slow
def test_the_weights_of_a_whole_detector_are_what_the_training_loads(typed: Compose) -> None:
    published = lowered(typed, "model=atss", "model.weights=coco")
    assert published["load_from"] == (
        "https://download.openmmlab.com/mmdetection/v2.0/atss/atss_r50_fpn_1x_coco/atss_r50_fpn_1x_coco_20200209-985f7bd0.pth"
    )
    assert published["model"]["backbone"]["init_cfg"] is None, "what the checkpoint replaces is not fetched"
    assert published["model"]["backbone"]["frozen_stages"] == 1
    for given in ("s3://bucket/a.pth", "https://host/a.pth", "runs:/0123"):
        assert lowered(typed, f"model.weights={given}")["load_from"] == given
    assert lowered(typed, "model.weights=a.pth")["load_from"] == str(Path("a.pth").absolute())
