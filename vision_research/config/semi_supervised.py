"""What a teacher and a student ask of the other groups, and what those have that no other detector reads."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.dataset_tree import kind_of
from vision_research.config.lowering.semi_supervised import images_per_source
from vision_research.config.needs import steps
from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.config.scoring import is_semi_supervised

EXAMPLE = "zoo/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco"
# They change the backbone of the detector, and a teacher and a student have one each.
OF_ONE_BACKBONE = ("channels_last", "compile", "activation_checkpointing")


def semi_supervised_problems(config: TrainConfig) -> Iterator[str]:
    """Name what a semi-supervised detector lacks, and what only it would read, each with what to type."""
    train = (config.aug.recipe or {}).get("train")
    branches = [place for place, step in steps(train, "aug.recipe.train") if kind_of(step) == "MultiBranch"]
    if not is_semi_supervised(config.model):
        yield from _unread(config, branches)
        return
    model, zoo = config.model["type"], (config.model.get("recipe") or {}).get("zoo")
    own = EXAMPLE if zoo is None else f"zoo/{zoo}"
    if not branches:
        yield (
            f"model={model}: its teacher and its student see an image each in a way of its own, and this aug has one "
            f"way. Type aug={own}"
        )
    yield from _hooks(config)
    yield from _scores(config)
    if config.data.kind is not DataKind.zoo:
        yield from _sources(config)


def _unread(config: TrainConfig, branches: list[str]) -> Iterator[str]:
    model, data = config.model.get("type"), config.data
    if branches:
        assert config.aug.recipe is not None
        yield (
            f"{branches[0]}.type=MultiBranch: aug=zoo/{config.aug.recipe['zoo']} makes images of a teacher and others "
            f"of a student, and model={model} is neither. Type another aug=OPTION, or model={EXAMPLE}"
        )
    if data.kind is DataKind.zoo:
        return
    if data.unlabelled_ann is not None:
        yield (
            f"data.unlabelled_ann={data.unlabelled_ann}: model={model} learns from labelled images alone. Type "
            f"data.unlabelled_ann=null to train it on those, or model={EXAMPLE} aug={EXAMPLE}"
        )
    elif data.unlabelled_prefix is not None:
        yield f"data.unlabelled_prefix={data.unlabelled_prefix}: is not read without data.unlabelled_ann. Type both"
    if data.source_ratio != DataConfig().source_ratio and data.unlabelled_ann is None:
        yield f"data.source_ratio={data.source_ratio}: model={model} has one source of images. Leave it out"


def _hooks(config: TrainConfig) -> Iterator[str]:
    hooks = (config.model.get("recipe") or {}).get("hooks") or {}
    if not hooks.get("MeanTeacherHook"):
        yield (
            f"model.recipe.hooks: without MeanTeacherHook the teacher of model={config.model['type']} stays as it "
            "began. Type +model.recipe.hooks.MeanTeacherHook.type=MeanTeacherHook"
        )
    for name in OF_ONE_BACKBONE:
        if getattr(config.hw, name):
            yield f"hw.{name}=true: model={config.model['type']} has two backbones. Type hw.{name}=false"


def _scores(config: TrainConfig) -> Iterator[str]:
    monitor = config.schedule.monitor
    if monitor != "auto" and not monitor.startswith(("teacher/", "student/")):
        yield (
            f"schedule.monitor={monitor}: both the teacher and the student are scored. Type "
            f"schedule.monitor=teacher/{monitor}, or schedule.monitor=student/{monitor}"
        )


def _sources(config: TrainConfig) -> Iterator[str]:
    data, ratio = config.data, config.data.source_ratio
    if data.unlabelled_ann is None:
        yield (
            f"model={config.model['type']}: learns from unlabelled images beside the labelled ones, and "
            f"data={data.kind.value} has none. Type data.unlabelled_ann=FILE.json data.unlabelled_prefix=FOLDER, or "
            "data=digits_semi"
        )
    if len(ratio) != 2 or min(ratio) < 1:
        yield (
            f"data.source_ratio={ratio}: is the number of labelled images and that of unlabelled ones, 1 or more each. "
            "Type data.source_ratio=[1,4]"
        )
    elif min(images_per_source(data.batch_size, ratio)) < 1:
        yield (
            f"data.batch_size={data.batch_size} with data.source_ratio={ratio}: every batch has images of both kinds. "
            f"Type data.batch_size={sum(ratio)}"
        )
