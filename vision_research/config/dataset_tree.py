"""Parts a data set from what is done to its images, and joins the two again.

MMEngine nests them: wrappers (repeat, concat, mix) around data sets around pipelines. The files and their annotations
belong to the `data` group; wrappers and pipelines belong to `aug`. Pure functions over plain trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

# Stands in a frame for the data set that was taken out, with its number.
PLACE = "place"
# What a wrapper calls the data sets inside of it.
INNER = ("dataset", "datasets")


def kind_of(node: dict[str, Any]) -> str:
    """Return the type of a step, a hook or a data set without its scope (`Resize` of `mmdet.Resize`), or nothing."""
    return str(node.get("type", "")).rpartition(".")[2]


def part(dataset: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Part a data set of MMEngine.

    Args:
        dataset: with its wrappers and pipelines.

    Returns:
        The frame: wrappers and pipelines, with `{"place": N, "pipeline": [...]}` where a data set was; and the data
        sets without pipelines, in the order of their places.
    """
    found: list[dict[str, Any]] = []

    def visit(node: dict[str, Any]) -> dict[str, Any]:
        if any(key in node for key in INNER):
            return {key: _each(value, visit) if key in INNER else value for key, value in node.items()}
        found.append({key: value for key, value in node.items() if key != "pipeline"})
        return {PLACE: len(found) - 1, **{key: node[key] for key in ("pipeline",) if key in node}}

    return visit(dataset), found


def join(frame: dict[str, Any], datasets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put data sets into a frame.

    One data set fills a frame of several places as the first of them; several fill a frame of one place as a
    concatenation in which each has the pipeline of that place.

    Raises:
        ValueError: several data sets, and another number of places.
    """
    places = list(_places(frame))
    if len(places) == len(datasets):
        filled = _filled(frame, {place[PLACE]: [dataset] for place, dataset in zip(places, datasets, strict=True)})
    elif len(places) == 1 or len(datasets) == 1:
        filled = _filled(frame, {places[0][PLACE]: list(datasets)})
    else:
        raise ValueError(f"{len(datasets)} data sets do not fit into {len(places)} places")
    assert filled is not None
    return filled


def wrappers(frame: dict[str, Any]) -> list[str]:
    """Name the types of a frame's wrappers, outermost first."""
    return [str(node["type"]) for node in _frame_nodes(frame) if PLACE not in node]


def pipelines(frame: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """List the pipelines of a frame, those of wrappers before those inside of them; the very lists."""
    return [node["pipeline"] for node in _frame_nodes(frame) if node.get("pipeline") is not None]


def _filled(node: dict[str, Any], at: dict[int, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """Return the node with its places filled; None where nothing is left inside of it."""
    if PLACE in node:
        given = [{**deepcopy(one), **_pipeline_of(node)} for one in at.get(node[PLACE], [])]
        if len(given) > 1:
            return {"type": "ConcatDataset", "datasets": given}
        return given[0] if given else None
    result = {}
    for key, value in node.items():
        if key not in INNER:
            result[key] = deepcopy(value)
            continue
        inner = _each(value, lambda child: _filled(child, at))
        if inner is None or inner in ([], ()):
            return None
        result[key] = inner
    only = result.get("datasets")
    if isinstance(only, (list, tuple)) and len(only) == 1 and len(node["datasets"]) > 1:
        return dict(only[0])
    return result


def _pipeline_of(node: dict[str, Any]) -> dict[str, Any]:
    return {"pipeline": deepcopy(node["pipeline"])} if "pipeline" in node else {}


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return change(value)
    kept = [new for child in value if (new := change(child)) is not None]
    return tuple(kept) if isinstance(value, tuple) else kept


def _places(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (node for node in _frame_nodes(frame) if PLACE in node)


def _frame_nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for key in INNER:
        children = node.get(key) or []
        for child in [children] if isinstance(children, dict) else children:
            yield from _frame_nodes(child)
