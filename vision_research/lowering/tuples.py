"""Arguments of transforms: restores those that have to be tuples, and scales those that are sizes in pixels.

YAML and OmegaConf have only lists, and MMCV and MMDetection require tuples for some arguments. Not all lists can be
converted: `Resize` refuses a list for `scale`, and `FPN` refuses a tuple for `in_channels`.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.tree import as_tuples, kind_of, replace

# (transform, argument) that is a size in pixels: (width, height), or any order for transforms that keep the ratio.
SIZES = {
    ("Resize", "scale"),
    ("RandomResize", "scale"),
    ("RandomChoiceResize", "scales"),
    ("FixScaleResize", "scale"),
    ("RandomCrop", "crop_size"),
    ("RandomCenterCropPad", "crop_size"),
    ("Pad", "size"),
    ("Mosaic", "img_scale"),
    ("CachedMosaic", "img_scale"),
    ("MixUp", "img_scale"),
    ("CachedMixUp", "img_scale"),
    ("RandomAffine", "border"),
}
# (transform, argument) whose constructor requires a tuple.
TUPLE_ARGUMENTS = (SIZES - {("RandomCenterCropPad", "crop_size")}) | {
    ("RandomResize", "ratio_range"),
    ("Pad", "pad_val"),
    ("CachedMixUp", "ratio_range"),
    ("CachedMixUp", "pad_val"),
    ("MixUp", "ratio_range"),
    ("RandomAffine", "scaling_ratio_range"),
    ("RandomAffine", "border_val"),
    ("FilterAnnotations", "min_gt_bbox_wh"),
    ("PackDetInputs", "meta_keys"),
    ("PackTrackInputs", "meta_keys"),
    ("PackReIDInputs", "meta_keys"),
}


def restore_step(step: Any) -> Any:
    """Return the config of a transform, and of those nested in it, with the required tuples."""
    return replace(step, lambda _, node: _with_tuple_arguments(node) if isinstance(node, dict) else node)


def _with_tuple_arguments(step: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(step)
    return {key: as_tuples(value) if (kind, key) in TUPLE_ARGUMENTS else value for key, value in step.items()}


def resized(tree: Any, written_for: list[int] | None, wanted: list[int]) -> Any:
    """Return pipelines with every size scaled.

    Args:
        tree: pipelines, or a template with pipelines.
        written_for: [height, width] that they were written for; None changes nothing.
        wanted: [height, width] of the run.
    """
    if written_for is None or list(written_for) == list(wanted):
        return tree
    old, new = tuple(written_for), tuple(wanted)
    return replace(tree, lambda _, node: _resized_step(node, old, new) if isinstance(node, dict) else node)


def _resized_step(step: dict[str, Any], old: tuple[int, ...], new: tuple[int, ...]) -> dict[str, Any]:
    kind = kind_of(step)
    if kind == "RandomCrop" and step.get("crop_type") == "absolute_range":
        # Here crop_size is the smallest and the largest side.
        factor = min(max(new) / max(old), min(new) / min(old))
        return {**step, "crop_size": type(step["crop_size"])(_side(side, factor) for side in step["crop_size"])}
    return {key: _scaled(value, old, new) if (kind, key) in SIZES else value for key, value in step.items()}


def _scaled(value: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 2 or not all(isinstance(side, int) for side in value):
        return type(value)(_scaled(item, old, new) for item in value)
    # The longer side is scaled by the longer one: with keep_ratio MMCV accepts both orders.
    by_length = [max(new) / max(old), min(new) / min(old)]
    first, second = by_length if abs(value[0]) > abs(value[1]) else by_length[::-1]
    if abs(value[0]) == abs(value[1]):
        first, second = new[1] / old[1], new[0] / old[0]
    scaled = (_side(value[0], first), _side(value[1], second))
    return scaled if isinstance(value, tuple) else list(scaled)


def _side(value: int, factor: float) -> int:
    return round(value * factor) or value
