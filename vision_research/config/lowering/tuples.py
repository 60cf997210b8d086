"""Gives tuples back where MMCV and MMDetection insist on them; YAML and OmegaConf know only lists.

There is no blanket rule: `Resize` refuses a list for `scale`, and `FPN` refuses a tuple for `in_channels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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


def restore_step(step: Any) -> Any:
    """Return a transform's config with the tuples that its constructor needs, nested transforms included."""
    if isinstance(step, list):
        return [restore_step(item) for item in step]
    if not isinstance(step, dict):
        return step
    kind = str(step.get("type", "")).rpartition(".")[2]
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


def restore_paths(tree: dict[str, Any], paths: Iterable[str]) -> None:
    """Turn the lists at these dotted paths into tuples, in place; a path that was overridden away is left alone."""
    # Deepest first: a tuple's children cannot be replaced once it is one.
    for path in sorted(paths, key=lambda item: item.count("."), reverse=True):
        *parents, last = path.split(".")
        node: Any = tree
        for key in parents:
            node = _child(node, key)
        value = _child(node, last)
        if isinstance(value, list):
            node[int(last) if isinstance(node, list) else last] = tuple(value)


def _child(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    if isinstance(node, list) and key.isdigit() and int(key) < len(node):
        return node[int(key)]
    return None
