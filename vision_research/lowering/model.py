"""Lowers the detector: class count, initial weights, and changes for a CPU or another image size."""

from __future__ import annotations

from math import ceil
from typing import Any

from vision_research.config.schema import TrainConfig
from vision_research.config.tree import dicts, kinds, with_tuples
from vision_research.config.weights import weights_file
from vision_research.config.zoo import zoo_folder
from vision_research.config.zoo_entries import zoo_excerpt
from vision_research.protocols import LoweringSpec

# The sides of a padded batch are multiples of this.
STRIDE = 32
OUR_KEYS = ("weights", "recipe")


def lower_model(run: LoweringSpec) -> dict[str, Any]:
    """Return the `model` of the MMEngine config.

    Raises:
        ConfigError: the class count cannot be set in the detector.
    """
    config = run.config
    recipe = config.model_recipe
    own = {key: value for key, value in config.model.items() if key not in OUR_KEYS}
    model: dict[str, Any] = with_tuples(own, recipe.get("tuples") or [])
    _drop_inherited_backbone_keys(model, recipe.get("backbone"))
    _locate_teacher_config(model)
    run.task.set_classes(model, run.inputs)
    for feed in run.feeds:
        feed.model(model, run)
    _use_batch_augments(model, config, recipe.get("zoo"))
    _scale_batch_augments(model, config.image_size, recipe.get("image_size"))
    if config.model.get("weights", "none") == "none":
        _train_from_scratch(model)
    elif weights_file(config) is not None:
        _without_pretrained_parts(model)
    if not run.inputs.on_gpu:
        _without_sync_bn(model)
    return model


def pretrained_parts(model: dict[str, Any]) -> list[dict[str, Any]]:
    """List the `init_cfg`s of a lowered model that load pretrained weights (not copies: callers change them)."""
    found = [node["init_cfg"] for _, node in dicts(model) if isinstance(node.get("init_cfg"), dict)]
    return [init_cfg for init_cfg in found if init_cfg.get("type") == "Pretrained"]


def _locate_teacher_config(model: dict[str, Any]) -> None:
    """Make the path of a teacher's config absolute: MMDetection's is relative to its repository."""
    config = model.get("teacher_config")
    if isinstance(config, str) and config.startswith("configs/"):
        model["teacher_config"] = str(zoo_folder() / config.removeprefix("configs/"))


def _drop_inherited_backbone_keys(model: dict[str, Any], old: dict[str, Any] | None) -> None:
    """Remove the zoo file's arguments from a backbone of another library (`model.backbone.type=mmpretrain.ConvNeXt`).

    Depth, norm and weights are those of the old backbone; only `out_indices` has the same meaning in every library.
    """
    new = model.get("backbone")
    if not (isinstance(new, dict) and old) or _library(new["type"]) == _library(old["type"]):
        return
    for key, value in old.items():
        if key not in ("type", "out_indices") and new.get(key) == value:
            del new[key]


def _library(kind: str) -> str:
    return kind.partition(".")[0] if "." in kind else "mmdet"


def _train_from_scratch(model: dict[str, Any]) -> None:
    """Remove pretrained weights and unfreeze all layers and batch norm statistics, which are random otherwise."""
    _without_pretrained_parts(model)
    for _, node in dicts(model):
        if node.get("frozen_stages", -1) >= 0:
            node["frozen_stages"] = -1
        if node.get("norm_eval"):
            node["norm_eval"] = False
        if isinstance(node.get("norm_cfg"), dict) and node["norm_cfg"].get("requires_grad") is False:
            node["norm_cfg"]["requires_grad"] = True


def _without_pretrained_parts(model: dict[str, Any]) -> None:
    for _, node in dicts(model):
        if isinstance(node.get("init_cfg"), dict) and node["init_cfg"].get("type") == "Pretrained":
            node["init_cfg"] = None
        if node.get("pretrained") is True:
            # timm's argument.
            node["pretrained"] = False


def _without_sync_bn(model: dict[str, Any]) -> None:
    """Replace SyncBN, which needs GPUs, by BN; RTMDet would convert the built model unless `use_syncbn` is False."""
    for _, node in dicts(model):
        if node.get("type") in ("SyncBN", "MMSyncBN"):
            node["type"] = "BN"
    if model.get("type") == "RTMDet":
        model["use_syncbn"] = False


def _use_batch_augments(model: dict[str, Any], config: TrainConfig, zoo: str | None) -> None:
    """Use the batch augmentations of the zoo file that the augmentation comes from."""
    preprocessor = model.get("data_preprocessor")
    if config.aug.recipe is None or config.aug.recipe["zoo"] == zoo or not preprocessor:
        return
    excerpt = zoo_excerpt(config.aug.recipe)
    if config.model_recipe.get("letterbox") and "Pad" not in kinds(excerpt.get("train")):
        preprocessor["pad_size_divisor"] = 32
    augments = excerpt["batch_augments"]
    if augments or "batch_augments" in preprocessor:
        preprocessor["batch_augments"] = augments


def _scale_batch_augments(model: dict[str, Any], image_size: list[int], recipe_size: list[int] | None) -> None:
    """Scale the sizes in batch augmentations by the run's image size over the recipe's.

    YOLOX resizes each batch to a random size; large-scale jitter pads, and CrowdDet resizes, each batch to a fixed one.
    """
    augments = (model.get("data_preprocessor") or {}).get("batch_augments") or []
    if not recipe_size or list(image_size) == list(recipe_size):
        return
    factor = max(image_size) / max(recipe_size)
    sides = [new / old for new, old in zip(image_size, recipe_size, strict=True)]
    for augment in augments:
        if augment.get("type") == "BatchSyncRandomResize":
            divisor = augment.get("size_divisor", 32)
            low, high = augment["random_size_range"]
            augment["random_size_range"] = tuple(max(divisor, round(size * factor)) for size in (low, high))
        if augment.get("type") == "BatchFixedSizePad":
            padded = zip(augment["size"], sides, strict=True)
            augment["size"] = tuple(ceil(size * side / STRIDE) * STRIDE for size, side in padded)
        if augment.get("type") == "BatchResize":
            # (width, height), as MMCV has it.
            width, height = augment["scale"]
            augment["scale"] = (round(width * sides[1]), round(height * sides[0]))
