"""Sets the class count of a detector.

The meaning of `num_classes` depends on the part of the detector: a box head counts the classes of the data, an RPN
objects and background, a re-identification head persons. A `num_classes` in an unknown part is refused by its path.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.config.tree import dicts

# Parts whose `num_classes` are the classes of the data.
HEADS = frozenset(
    {
        "bbox_head",
        "mask_head",
        "mask_iou_head",
        "point_head",
        "glbctx_head",
        "track_head",
        "teacher_bbox_head",
        "panoptic_head",
        # Keys of Detectron2, inside its wrapper.
        "roi_heads",
        "retinanet",
    }
)
# Parts whose `num_classes` count something else: pretraining classes, objects or background, persons, stuff.
OTHERS = frozenset({"backbone", "rpn_head", "reid", "semantic_head"})


def set_class_count(model: dict[str, Any], num_classes: int, num_stuff: int = 0) -> None:
    """Set the class count of the data in a detector, in place.

    Args:
        model: the detector.
        num_classes: number of thing classes: objects with boxes.
        num_stuff: number of stuff classes of panoptic maps; 0 without maps.

    Raises:
        ConfigError: the detector has no class count, or one of unknown meaning.
    """
    found = [(path, {*path.split(".")}, node) for path, node in dicts(model, "model") if "num_classes" in node]
    unknown = [f"{path}.num_classes" for path, parts, _ in found if not parts & (HEADS | OTHERS)]
    places = [node for _, parts, node in found if parts & HEADS and not parts & OTHERS]
    panoptic = [(path, node) for path, node in dicts(model) if "num_things_classes" in node]
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: whether these are the {num_classes} classes of the data cannot be known. "
            "Type another detector, or the detector with its own data: experiment=zoo/FAMILY/CONFIG"
        )
    if not places and not panoptic:
        raise ConfigError(
            f"model: {model.get('type')} has no head with `num_classes`, so the {num_classes} classes of the data "
            "cannot reach it. Type a detector with a classifying head, for example model=rtmdet_tiny"
        )
    for node in places:
        node["num_classes"] = num_classes
        _weigh(node, num_classes)
    for _, node in panoptic:
        node |= {"num_things_classes": num_classes, "num_stuff_classes": num_stuff}
        _weigh(node, num_classes + num_stuff)
    if num_stuff:
        # Semantic branches count all labels of the map.
        for path, node in dicts(model):
            if path.rpartition(".")[2] == "semantic_head" and "num_classes" in node:
                node["num_classes"] = num_classes + num_stuff
    elif any("panoptic_fusion_head" in path.split(".") for path, _ in panoptic):
        # Without stuff, a panoptic query detector predicts instances instead of panoptic maps.
        test_cfg = model.get("test_cfg")
        if isinstance(test_cfg, dict) and "instance_on" in test_cfg:
            test_cfg |= {"panoptic_on": False, "semantic_on": False, "instance_on": True}


def _weigh(head: dict[str, Any], num_classes: int) -> None:
    """Resize the class weights of a loss; the last one is that of background."""
    loss = head.get("loss_cls")
    weights = loss.get("class_weight") if isinstance(loss, dict) else None
    if isinstance(loss, dict) and isinstance(weights, (list, tuple)):
        loss["class_weight"] = type(weights)([weights[0]] * num_classes + [weights[-1]])
