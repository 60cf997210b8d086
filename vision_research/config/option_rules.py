"""Rules for combinations of options: keys that a combination ignores, stages and steps of `aug`, inheritance keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from vision_research.config.recipe import FLIPS
from vision_research.config.schema import AugConfig, DataConfig, TrainConfig
from vision_research.config.traits import traits_of
from vision_research.config.tree import dicts, typed_dicts, value_at
from vision_research.config.zoo_entries import RUNTIME_KEYS

# Keys of the `data` group that are read with the data sets of a zoo file too.
READ_WITH_ZOO_DATA = {
    *("kind", "root", "recipe", "batch_size", "val_batch_size", "num_workers", "persistent_workers"),
    *("limit_train", "limit_val", "image_size", "flip_prob", "default_weights"),
}
# MMDetection's transforms that do not transform masks, or fail with them.
BOXES_ONLY = ("Mosaic", "MixUp", "RandomAffine", "RandomCenterCropPad")
# MMEngine applies these only while it reads a config file.
INHERITANCE = ("_delete_", "_base_")


def option_problems(config: TrainConfig) -> Iterator[str]:
    """Name every such problem with what to type in its place."""
    for rule in (_stages, _unread_data, _unread_stage, _unread_flips, _steps, _unapplied_inheritance):
        yield from rule(config)


def _stages(config: TrainConfig) -> Iterator[str]:
    aug, schedule = config.aug, config.schedule
    if has_weak_stage(aug) and schedule.max_epochs is not None and aug.final_epochs >= schedule.max_epochs:
        yield (
            f"aug.final_epochs={aug.final_epochs} with schedule.max_epochs={schedule.max_epochs}: the weak pipeline "
            f"would begin before the training. Type aug.final_epochs={max(schedule.max_epochs - 1, 0)} or less, or "
            f"schedule.max_epochs={aug.final_epochs + 1} or more"
        )
    if aug.recipe is not None and (aug.train or aug.final or aug.test):
        yield (
            f"aug.train, aug.final and aug.test are not read with aug=zoo/{aug.recipe['zoo']}. Change the file's own "
            "steps, for example aug.recipe.train.pipeline.2.prob=0.3, or type another aug=OPTION"
        )


def _unread_data(config: TrainConfig) -> Iterator[str]:
    if config.data.recipe is None:
        return
    zoo = config.data.recipe["zoo"]
    # Only our own pipelines skip images that do not decode.
    read = READ_WITH_ZOO_DATA | ({"max_bad_images", "max_pixels"} if config.aug.recipe is None else set())
    for name, unset in vars(DataConfig(train_ann="", val_ann="")).items():
        value = getattr(config.data, name)
        if name not in read and value != unset:
            yield (
                f"data.{name}={value}: is not read with data=zoo/{zoo}, whose data sets say it themselves. Change "
                "those under data.recipe.train.0, or type data=coco data.root=FOLDER data.train_ann=... for your own"
            )


def has_weak_stage(aug: AugConfig) -> bool:
    """Return whether there is a weak pipeline for the end of training."""
    return aug.final is not None if aug.recipe is None else bool(aug.recipe["hooks"])


def _unread_stage(config: TrainConfig) -> Iterator[str]:
    aug = config.aug
    if aug.final_epochs > 0 and not has_weak_stage(aug):
        where = "aug.final is null" if aug.recipe is None else f"aug=zoo/{aug.recipe['zoo']} has no such stage"
        yield (
            f"aug.final_epochs={aug.final_epochs}: {where}, so there is no weak pipeline to end with. "
            "Type aug.final_epochs=0, or an option with one: aug=mosaic_mixup, aug=rtmdet, aug=yolox"
        )


def _unread_flips(config: TrainConfig) -> Iterator[str]:
    prob, aug = config.data.flip_prob, config.aug
    if not prob:
        return
    name, tree = ("recipe.train", aug.recipe.get("train")) if aug.recipe is not None else ("train", aug.train)
    if not any(step.get("type") in FLIPS and step.get("prob") == prob for _, step in typed_dicts(tree)):
        yield (
            f"data.flip_prob={prob}: no step of aug.{name} mirrors images with it. Type aug=flip, or the prob of the "
            "step itself"
        )


def _steps(config: TrainConfig) -> Iterator[str]:
    """Name values that are not steps, and steps that do not support masks."""
    model, has_masks = config.model.get("type"), traits_of(config).has_masks
    for stage in ("train", "final", "test"):
        named: Mapping[str, Any] = getattr(config.aug, stage) or {}
        for name, step in named.items():
            key = f"aug.{stage}.{name}"
            if step is not None and not (isinstance(step, dict) and "type" in step):
                yield f"{key}={step}: a step has a type. Type {key}.type=RandomFlip, or {key}=null"
            elif step is not None and step["type"] in BOXES_ONLY and has_masks:
                yield (
                    f"{key}.type={step['type']}: moves boxes and no masks, and model={model} is trained on masks. Type "
                    f"aug=rtmdet, or {key}=null"
                )


def _unapplied_inheritance(config: TrainConfig) -> Iterator[str]:
    # The other keys of a zoo file are never read, and may contain anything.
    read = {key: value for key, value in (config.recipe or {}).items() if key in RUNTIME_KEYS}
    aug = {f"aug.{stage}": getattr(config.aug, stage) for stage in ("train", "final", "test")}
    recipes = {f"{group}.recipe": getattr(config, group).recipe for group in ("schedule", "aug", "data")}
    for root, tree in {"model": config.model, **aug, **recipes, "recipe": read}.items():
        group = root.partition(".")[0]
        for path, node in dicts(tree, root):
            for key in INHERITANCE:
                if key in node:
                    yield f"{path}.{key}: MMEngine's {key} has no meaning here. Choose another option: {group}=OPTION"


def size_problems(config: TrainConfig) -> Iterator[str]:
    """Name the requirements of the detector that `image_size` does not meet, which the first iteration would show."""
    model, size = config.model, config.image_size
    # SSD's last convolutions have no padding, so a smaller image shrinks to nothing.
    needed = value_at(model, "bbox_head.anchor_generator.input_size")
    if value_at(model, "backbone.type") == "SSDVGG" and isinstance(needed, int) and min(size) < needed:
        yield (
            f"image_size={size}: model={model['type']} takes images of {needed} pixels and more. "
            f"Type image_size=[{needed},{needed}]"
        )
    # The feature maps of a two-stage transformer need as many cells as it selects queries.
    wanted, read = model.get("num_queries"), value_at(model, "backbone.out_indices")
    levels = value_at(model, "neck.num_outs") or model.get("num_feature_levels")
    if not (model.get("as_two_stage") and isinstance(wanted, int) and isinstance(levels, int)):
        return
    if not isinstance(read, list) or not read:
        return
    strides = [4 * 2 ** (int(read[0]) + level) for level in range(levels)]
    if (cells := _num_cells(size, strides)) < wanted:
        side = next(side for side in range(32, 4097, 32) if _num_cells([side, side], strides) >= wanted)
        fewer = cells // 100 * 100 or cells
        yield (
            f"image_size={size}: model={model['type']} chooses {wanted} queries among the cells of an "
            f"image, and an oblong one has {cells}. Type image_size=[{side},{side}], or model.num_queries={fewer}"
        )


def _num_cells(size: list[int], strides: list[int]) -> int:
    """Count the cells of an image that fills one side and half of the other."""
    long, short = max(size), min(size) // 2
    return sum(ceil(long / stride) * ceil(short / stride) for stride in strides)


def data_problems(config: TrainConfig, classes: Sequence[str]) -> Iterator[str]:
    """Name the requirements of the detector that the data does not meet.

    Args:
        config: the run.
        classes: names of the classes of the data.
    """
    model = config.model.get("type")
    if model != "CrowdDet":
        return
    if len(classes) > 1:
        yield (
            f"model={model}: predicts one class only (its assigner gives every object the first one), and the data "
            f"has {len(classes)} classes: {', '.join(classes)}. Type data.classes=['{classes[0]}'] to train "
            "on one of them, or model=faster_rcnn"
        )
    if config.data.keep_empty:
        yield (
            f"data.keep_empty=true: the losses of model={model} fail on a batch without objects. Type "
            "data.keep_empty=false"
        )
