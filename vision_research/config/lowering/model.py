"""Lowers the detector: its class count, its weights, and what a CPU or a smaller image asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from vision_research.config.addresses import RUNS_SCHEME, absolute
from vision_research.config.dataset_tree import kind_of
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.class_count import set_class_count
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.language import DRAWING, count_drawn_names, name_language_model_once, reads_text
from vision_research.config.lowering.tuples import with_tuples, words_of
from vision_research.config.model_index import published_weights
from vision_research.config.schema import DataKind, TrainConfig
from vision_research.config.scoring import learns_from_maps
from vision_research.config.zoo import zoo_folder

# What the sides of a padded batch are multiples of.
STRIDE = 32
OUR_KEYS = ("weights", "recipe")


def lower_model(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the `model` of the MMEngine config.

    Raises:
        ConfigError: the detector has no place for a class count.
    """
    recipe = config.model.get("recipe") or {}
    words = {key: value for key, value in config.model.items() if key not in OUR_KEYS}
    model: dict[str, Any] = with_tuples(words, recipe.get("tuples") or [])
    _without_words_of_the_old_backbone(model, recipe.get("backbone"))
    _find_the_teacher(model)
    name_language_model_once(model)
    if config.data.kind is not DataKind.zoo:
        set_class_count(model, len(inputs.classes), len(inputs.stuff) if learns_from_maps(config.model) else 0)
        if reads_text(model) and DRAWING in _kinds([config.aug.train, (config.aug.recipe or {}).get("train")]):
            count_drawn_names(model)
    _use_batch_augments(model, config, recipe.get("zoo"))
    _scale_batch_augments(model, config.image_size, recipe.get("image_size"))
    if config.model.get("weights", "none") == "none":
        _from_scratch(model)
    elif weights_file(config) is not None:
        _without_pretrained_parts(model)
    if not inputs.on_gpu:
        _without_sync_bn(model)
    return model


def weights_file(config: TrainConfig) -> str | None:
    """Return where the weights of the whole detector are that the training starts from.

    Returns:
        An absolute path, an address (`https://`, `s3://`) or `runs:/ID`; None for `none` and `backbone`.

    Raises:
        ConfigError: `coco`, and MMDetection's model index names no checkpoint of this detector.
    """
    weights = config.model.get("weights")
    if weights == "coco":
        return _published(config)
    if not isinstance(weights, str) or weights in ("none", "backbone"):
        return None
    if weights.startswith(("http://", "https://", RUNS_SCHEME)):
        return weights
    return absolute(weights) if weights.endswith((".pth", ".pt", ".ckpt")) else None


def _published(config: TrainConfig) -> str:
    name = (config.model.get("recipe") or {}).get("zoo")
    address = None if name is None else published_weights(str(name))
    if address is None:
        raise ConfigError(
            f"model.weights=coco: MMDetection's model index names no checkpoint of {name or config.model.get('type')}. "
            "Type model.weights=backbone, or a checkpoint"
        )
    return address


def pretrained_sources(model: dict[str, Any]) -> list[str]:
    """List the addresses of the pretrained weights that a lowered model will load."""
    return [init_cfg["checkpoint"] for init_cfg in pretrained_parts(model)]


def pretrained_parts(model: dict[str, Any]) -> list[dict[str, Any]]:
    """List the `init_cfg`s of a lowered model that load pretrained weights; the very dicts, to be written into."""
    found = [node["init_cfg"] for node in nodes(model) if isinstance(node.get("init_cfg"), dict)]
    return [init_cfg for init_cfg in found if init_cfg.get("type") == "Pretrained"]


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict of a tree, outermost first."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from nodes(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from nodes(value)


def _find_the_teacher(model: dict[str, Any]) -> None:
    """Name the config of a teacher where it is installed: MMDetection names it from inside of its repository."""
    config = model.get("teacher_config")
    if isinstance(config, str) and config.startswith("configs/"):
        model["teacher_config"] = str(zoo_folder() / config.removeprefix("configs/"))


def _without_words_of_the_old_backbone(model: dict[str, Any], old: dict[str, Any] | None) -> None:
    """Leave a backbone of another library (`model.backbone.type=mmpretrain.ConvNeXt`) only what was typed for it.

    What it inherits from the recipe's backbone in the tree is that one's depth, norm and weights; only which stages the
    neck reads has the same name and meaning in every library.
    """
    new = model.get("backbone")
    if not (isinstance(new, dict) and old) or _library(new["type"]) == _library(old["type"]):
        return
    for key, value in old.items():
        if key not in ("type", "out_indices") and new.get(key) == value:
            del new[key]


def _library(kind: str) -> str:
    return kind.partition(".")[0] if "." in kind else "mmdet"


def _from_scratch(model: dict[str, Any]) -> None:
    """Train every layer: frozen layers with random weights, and statistics that never move, learn nothing."""
    _without_pretrained_parts(model)
    for node in nodes(model):
        if node.get("frozen_stages", -1) >= 0:
            node["frozen_stages"] = -1
        if node.get("norm_eval"):
            node["norm_eval"] = False
        if isinstance(node.get("norm_cfg"), dict) and node["norm_cfg"].get("requires_grad") is False:
            node["norm_cfg"]["requires_grad"] = True


def _without_pretrained_parts(model: dict[str, Any]) -> None:
    for node in nodes(model):
        if isinstance(node.get("init_cfg"), dict) and node["init_cfg"].get("type") == "Pretrained":
            node["init_cfg"] = None
        if node.get("pretrained") is True:
            # timm's word for it.
            node["pretrained"] = False


def _without_sync_bn(model: dict[str, Any]) -> None:
    """SyncBN needs GPUs; on CPU ranks it is plain BN (RTMDet converts the built model too, unless told not to)."""
    for node in nodes(model):
        if node.get("type") in ("SyncBN", "MMSyncBN"):
            node["type"] = "BN"
    if model.get("type") == "RTMDet":
        model["use_syncbn"] = False


def _use_batch_augments(model: dict[str, Any], config: TrainConfig, zoo: str | None) -> None:
    """Take what happens to whole batches from the file that the augmentation is from."""
    preprocessor = model.get("data_preprocessor")
    if config.aug.recipe is None or config.aug.recipe["zoo"] == zoo or not preprocessor:
        return
    words = words_of(config.aug.recipe)
    if (config.model.get("recipe") or {}).get("letterbox") and "Pad" not in _kinds(words.get("train")):
        preprocessor["pad_size_divisor"] = 32
    augments = words["batch_augments"]
    if augments or "batch_augments" in preprocessor:
        preprocessor["batch_augments"] = augments


def _kinds(frame: Any) -> set[str]:
    return {kind_of(node) for node in nodes(frame)}


def _scale_batch_augments(model: dict[str, Any], image_size: list[int], recipe_size: list[int] | None) -> None:
    """Keep the sizes of whole batches in proportion to the image size that the run uses.

    YOLOX draws one for each batch; large-scale jitter pads every batch to one, in which small images would be lost, and
    CrowdDet enlarges every batch to one.
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
