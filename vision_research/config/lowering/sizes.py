"""Brings the pipelines of a zoo file to another image size, in proportion."""

from __future__ import annotations

from typing import Any

from vision_research.config.dataset_tree import kind_of

# Arguments of transforms that are sizes in pixels, (width, height) or in another order where they keep the ratio.
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


def resized(tree: Any, written_for: list[int] | None, wanted: list[int]) -> Any:
    """Return pipelines with every size in proportion.

    Args:
        tree: pipelines, or a frame of them.
        written_for: [height, width] that they were written for; None leaves them alone.
        wanted: [height, width] of the run.
    """
    if written_for is None or list(written_for) == list(wanted):
        return tree
    return _visit(tree, tuple(written_for), tuple(wanted))


def _visit(node: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
    if isinstance(node, dict):
        kind = kind_of(node)
        if kind == "RandomCrop" and node.get("crop_type") == "absolute_range":
            # The smallest and the largest side of a crop, and no width and height.
            factor = min(max(new) / max(old), min(new) / min(old))
            return {**node, "crop_size": type(node["crop_size"])(_side(side, factor) for side in node["crop_size"])}
        return {
            key: _scaled(value, old, new) if (kind, key) in SIZES else _visit(value, old, new)
            for key, value in node.items()
        }
    if isinstance(node, (list, tuple)):
        return type(node)(_visit(item, old, new) for item in node)
    return node


def _scaled(value: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 2 or not all(isinstance(side, int) for side in value):
        return type(value)(_scaled(item, old, new) for item in value)
    # The longer side follows the longer one: MMCV takes both orders where it keeps the ratio.
    by_length = [max(new) / max(old), min(new) / min(old)]
    first, second = by_length if abs(value[0]) > abs(value[1]) else by_length[::-1]
    if abs(value[0]) == abs(value[1]):
        first, second = new[1] / old[1], new[0] / old[0]
    scaled = (_side(value[0], first), _side(value[1], second))
    return scaled if isinstance(value, tuple) else list(scaled)


def _side(value: int, factor: float) -> int:
    return round(value * factor) or value
