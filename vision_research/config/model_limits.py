"""Image sizes and data that a detector does not support, and that would fail only in the first iteration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from vision_research.config.schema import TrainConfig

SEARCHED_PX = range(32, 4097, 32)


def size_problems(config: TrainConfig) -> Iterator[str]:
    """Name the requirements of the detector that `image_size` does not meet."""
    yield from _pyramid(config)
    yield from _queries(config)


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


def _pyramid(config: TrainConfig) -> Iterator[str]:
    """Check the size for SSD: its last convolutions have no padding, so a smaller image shrinks to nothing."""
    backbone, head = _dict(config.model, "backbone"), _dict(config.model, "bbox_head")
    needed = _dict(head, "anchor_generator").get("input_size")
    if backbone.get("type") == "SSDVGG" and isinstance(needed, int) and min(config.image_size) < needed:
        yield (
            f"image_size={config.image_size}: model={config.model['type']} takes images of {needed} pixels and more. "
            f"Type image_size=[{needed},{needed}]"
        )


def _queries(config: TrainConfig) -> Iterator[str]:
    """Check that the feature maps of a two-stage transformer have as many cells as it selects queries."""
    model = config.model
    if not model.get("as_two_stage") or not isinstance(wanted := model.get("num_queries"), int):
        return
    strides = _strides(model)
    if strides and _num_cells(config.image_size, strides) < wanted:
        side = next(side for side in SEARCHED_PX if _num_cells([side, side], strides) >= wanted)
        cells = _num_cells(config.image_size, strides)
        fewer = cells // 100 * 100 or cells
        yield (
            f"image_size={config.image_size}: model={model['type']} chooses {wanted} queries among the cells of an "
            f"image, and an oblong one has {cells}. Type image_size=[{side},{side}], or model.num_queries={fewer}"
        )


def _strides(model: dict[str, Any]) -> list[int]:
    read = _dict(model, "backbone").get("out_indices")
    levels = _dict(model, "neck").get("num_outs") or model.get("num_feature_levels")
    if not isinstance(read, list) or not read or not isinstance(levels, int):
        return []
    first: int = 4 * 2 ** int(read[0])
    return [first * 2**level for level in range(levels)]


def _num_cells(size: list[int], strides: list[int]) -> int:
    """Count the cells of an image that fills one side and half of the other."""
    long, short = max(size), min(size) // 2
    return sum(ceil(long / stride) * ceil(short / stride) for stride in strides)


def _dict(node: dict[str, Any], key: str) -> dict[str, Any]:
    value = node.get(key)
    return value if isinstance(value, dict) else {}
