"""Gives tuples back where MMCV and MMDetection insist on them; YAML and OmegaConf know only lists.

There is no blanket rule: `Resize` refuses a list for `scale`, and `FPN` refuses a tuple for `in_channels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vision_research.config.dataset_tree import kind_of

# (transform, argument): the constructor asserts a tuple, or compares with one.
TUPLE_ARGUMENTS = {
    ("Resize", "scale"),
    ("RandomResize", "scale"),
    ("RandomResize", "ratio_range"),
    ("RandomChoiceResize", "scales"),
    ("FixScaleResize", "scale"),
    ("RandomCrop", "crop_size"),
    ("Pad", "size"),
    ("Pad", "pad_val"),
    ("CachedMosaic", "img_scale"),
    ("CachedMixUp", "img_scale"),
    ("CachedMixUp", "ratio_range"),
    ("CachedMixUp", "pad_val"),
    ("Mosaic", "img_scale"),
    ("MixUp", "img_scale"),
    ("MixUp", "ratio_range"),
    ("RandomAffine", "scaling_ratio_range"),
    ("RandomAffine", "border"),
    ("RandomAffine", "border_val"),
    ("FilterAnnotations", "min_gt_bbox_wh"),
    ("PackDetInputs", "meta_keys"),
    ("PackTrackInputs", "meta_keys"),
    ("PackReIDInputs", "meta_keys"),
}

# What a group's `recipe` says of itself.
OUR_WORDS = ("zoo", "tuples", "base_batch_size", "hook_order", "root")


def restore_step(step: Any) -> Any:
    """Return a transform's config with the tuples that its constructor needs, nested transforms included."""
    if isinstance(step, list):
        return [restore_step(item) for item in step]
    if not isinstance(step, dict):
        return step
    kind = kind_of(step)
    restored = {key: restore_step(value) for key, value in step.items()}
    for key in restored:
        if (kind, key) in TUPLE_ARGUMENTS:
            restored[key] = as_tuple(restored[key])
    return restored


def as_tuple(value: Any) -> Any:
    """Turn lists into tuples, at every depth."""
    if isinstance(value, (list, tuple)):
        return tuple(as_tuple(item) for item in value)
    if isinstance(value, dict):
        return {key: as_tuple(item) for key, item in value.items()}
    return value


def with_tuples(tree: Any, paths: Iterable[str]) -> Any:
    """Return a copy of the tree with tuples for the lists at these dotted paths; a path may lead nowhere any more."""
    wanted = frozenset(paths)

    def visit(node: Any, path: str) -> Any:
        if isinstance(node, dict):
            return {key: visit(value, f"{path}.{key}" if path else str(key)) for key, value in node.items()}
        if isinstance(node, list):
            items = [visit(value, f"{path}.{index}" if path else str(index)) for index, value in enumerate(node)]
            return tuple(items) if path in wanted else items
        return node

    return visit(tree, "")


def words_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return what a group carries of its zoo file, as the file has it."""
    return dict(with_tuples({key: value for key, value in recipe.items() if key not in OUR_WORDS}, recipe["tuples"]))
