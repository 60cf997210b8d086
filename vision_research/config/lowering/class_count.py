"""Sets the class count of a detector by what its numbers mean, wherever they lie in it.

`num_classes` is not one thing: a box head counts the classes of the data, an RPN objects and background, a
re-identification head persons, a semantic head the materials of a map. What has an unknown meaning is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.config.scoring import is_class_agnostic, tells_identities

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
        # Detectron2's words, inside of its wrapper.
        "roi_heads",
        "retinanet",
    }
)
# Parts whose `num_classes` count something else: what a backbone was pretrained on, objects or not, persons, materials.
OTHERS = frozenset({"backbone", "rpn_head", "reid", "semantic_head"})


def set_class_count(model: dict[str, Any], num_classes: int, num_stuff: int = 0) -> None:
    """Write the class count of the data into a detector, in place.

    Args:
        model: the detector.
        num_classes: of the things: objects with boxes.
        num_stuff: of the rest of a panoptic map; 0 where the data has none.

    Raises:
        ConfigError: the detector has no place for a class count, or places of unknown meaning; all of them are named.
    """
    found = [(path, node, key) for path, node in _nodes(model, ()) for key in ("num_classes",) if key in node]
    unknown = [".".join(("model", *path, key)) for path, _, key in found if not {*path} & (HEADS | OTHERS)]
    places = [(path, node) for path, node, _ in found if {*path} & HEADS and not {*path} & OTHERS]
    panoptic = [(path, node) for path, node in _nodes(model, ()) if "num_things_classes" in node]
    if is_class_agnostic(model):
        return
    if tells_identities(model):
        # Its classes are the identities of the crops.
        model["head"]["num_classes"] = num_classes
        return
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
    for _, node in places:
        node["num_classes"] = num_classes
        _weigh(node, num_classes)
    for _, node in panoptic:
        node |= {"num_things_classes": num_classes, "num_stuff_classes": num_stuff}
        _weigh(node, num_classes + num_stuff)
    if num_stuff:
        _count_in_semantic_heads(model, num_classes + num_stuff)
    elif any("panoptic_fusion_head" in path for path, _ in panoptic):
        _give_instances(model)


def _weigh(head: dict[str, Any], num_classes: int) -> None:
    """Give every class its weight in the loss; the last of a list is that of no object."""
    loss = head.get("loss_cls")
    weights = loss.get("class_weight") if isinstance(loss, dict) else None
    if isinstance(loss, dict) and isinstance(weights, (list, tuple)):
        loss["class_weight"] = type(weights)([weights[0]] * num_classes + [weights[-1]])


def _count_in_semantic_heads(model: dict[str, Any], num_labels: int) -> None:
    """Give semantic branches every label of the map; the panoptic ones count things and stuff by themselves."""
    for path, node in _nodes(model, ()):
        if path and path[-1] == "semantic_head" and "num_classes" in node:
            node["num_classes"] = num_labels


def _give_instances(model: dict[str, Any]) -> None:
    """Let a query detector of masks give objects: without stuff a panoptic map has nothing beside them."""
    test_cfg = model.get("test_cfg")
    if isinstance(test_cfg, dict) and "instance_on" in test_cfg:
        test_cfg |= {"panoptic_on": False, "semantic_on": False, "instance_on": True}


def _nodes(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every dict of a tree with its path, indices of lists included."""
    if isinstance(tree, dict):
        yield path, tree
        for key, value in tree.items():
            yield from _nodes(value, (*path, str(key)))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _nodes(value, (*path, str(index)))
