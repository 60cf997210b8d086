"""Separates a data set of MMEngine from its wrappers and pipelines, and combines both again.

MMEngine nests wrappers (repeat, concat, mix), data sets and pipelines. The data sets belong to the `data` group; the
wrappers and pipelines belong to `aug`, and are kept as a template: their tree with a placeholder for each data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

# Key of a placeholder: the number of its data set.
PLACE = "place"
# Keys of a wrapper for the data sets inside it.
INNER = ("dataset", "datasets")


def separate(dataset: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Separate a data set from its wrappers and pipelines.

    Returns:
        The template, with `{"place": N, "pipeline": [...]}` in place of each data set; and the data sets without
        pipelines, in the order of their numbers.
    """
    found: list[dict[str, Any]] = []

    def visit(node: dict[str, Any]) -> dict[str, Any]:
        if any(key in node for key in INNER):
            return {key: _each(value, visit) if key in INNER else value for key, value in node.items()}
        found.append({key: value for key, value in node.items() if key != "pipeline"})
        return {PLACE: len(found) - 1, **{key: node[key] for key in ("pipeline",) if key in node}}

    return visit(dataset), found


def fill_template(template: dict[str, Any], datasets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put data sets into a template.

    A single data set takes the first of several placeholders; the others are removed. Several data sets take a single
    placeholder as a concatenation, each with its pipeline.

    Args:
        template: as `separate` returns it.
        datasets: without pipelines.

    Raises:
        ValueError: several data sets, and another number of placeholders.
    """
    places = [node for node in _nodes(template) if PLACE in node]
    if len(places) == len(datasets):
        filled = _filled(template, {place[PLACE]: [dataset] for place, dataset in zip(places, datasets, strict=True)})
    elif len(places) == 1 or len(datasets) == 1:
        filled = _filled(template, {places[0][PLACE]: list(datasets)})
    else:
        raise ValueError(f"{len(datasets)} data sets do not fit into {len(places)} places")
    assert filled is not None
    return filled


def pipelines(template: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """List the pipelines of a template (not copies), those of wrappers before those inside them."""
    return [node["pipeline"] for node in _nodes(template) if node.get("pipeline") is not None]


def _filled(node: dict[str, Any], at: dict[int, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """Return a copy of the node with its placeholders replaced; None where it contains no data set."""
    if PLACE in node:
        pipeline = {key: node[key] for key in ("pipeline",) if key in node}
        given = [deepcopy({**one, **pipeline}) for one in at.get(node[PLACE], [])]
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


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return change(value)
    kept = [new for child in value if (new := change(child)) is not None]
    return tuple(kept) if isinstance(value, tuple) else kept


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for key in INNER:
        children = node.get(key) or []
        for child in [children] if isinstance(children, dict) else children:
            yield from _nodes(child)
