"""What a detector is scored by on its data, and the value of it by which the best checkpoint is chosen.

Pure functions over plain trees, so that both the composition (`schedule.monitor`) and lowering ask the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_research.config.recipe import has_masks

BOXES = "coco/bbox_mAP"
PROPOSALS = "coco/AR@1000"
TRACKS = "motchallenge-metric/HOTA"
MASK_TRACKS = "youtube_vis/segm_mAP"
PANOPTIC = "panoptic/PQ"
IDENTITIES = "reid-metric/mAP"


def monitored(model: dict[str, Any], aug_recipe: dict[str, Any] | None, has_maps: bool) -> str:
    """Return the value that says how good a detector is.

    Args:
        model: the `model` group.
        aug_recipe: pipelines in the words of a zoo file, if there are any.
        has_maps: whether the data has panoptic maps.
    """
    if any(node.get("type") == "PackTrackInputs" for node in _nodes((aug_recipe or {}).get("val"))):
        return MASK_TRACKS if has_masks(model) else TRACKS
    if tells_identities(model):
        return IDENTITIES
    if has_maps and is_panoptic(model):
        return PANOPTIC
    if is_semi_supervised(model):
        return f"{(model.get('semi_test_cfg') or {}).get('predict_on', 'teacher')}/{BOXES}"
    return PROPOSALS if is_class_agnostic(model) else BOXES


def is_class_agnostic(model: dict[str, Any]) -> bool:
    """Tell whether a detector finds objects of no class: its boxes are proposals for another."""
    return model.get("type") == "RPN"


def tells_identities(model: dict[str, Any]) -> bool:
    """Tell whether a model tells objects apart, and finds none."""
    return model.get("type") == "BaseReID"


def is_semi_supervised(model: dict[str, Any]) -> bool:
    """Tell whether a detector is a teacher and a student that learn from images without annotations too."""
    return "semi_train_cfg" in model


def is_panoptic(model: dict[str, Any]) -> bool:
    """Tell whether a detector gives every pixel to a thing or to stuff."""
    return "panoptic_fusion_head" in model and any(node.get("num_stuff_classes") for node in _nodes(model))


def learns_from_maps(model: dict[str, Any]) -> bool:
    """Tell whether a detector is trained on what every pixel is: panoptic ones, and those with a semantic branch."""
    branch = (model.get("roi_head") or {}).get("semantic_head") or model.get("semantic_head")
    return is_panoptic(model) or branch is not None


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _nodes(value)
