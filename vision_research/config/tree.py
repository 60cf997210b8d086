"""Walks config trees: nested dicts, lists and tuples.

A path is written as the user types it: keys and list indices joined by dots (`model.roi_head.bbox_head.0`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def walk(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every node of a tree with its path, parents before their children.

    Args:
        tree: a dict, a list, a tuple, or a single value.
        path: path of the root.
    """
    yield path, tree
    for key, value in _children(tree):
        yield from walk(value, join_path(path, key))


def dicts(tree: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every dict of a tree with its path, in the order of `walk`.

    Args:
        tree: as for `walk`.
        path: path of the root.
    """
    return ((place, node) for place, node in walk(tree, path) if isinstance(node, dict))


def typed_dicts(tree: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every dict that names a `type` (a module, a transform, a hook) with its path, in the order of `walk`.

    Args:
        tree: as for `walk`.
        path: path of the root.
    """
    return ((place, node) for place, node in dicts(tree, path) if isinstance(node.get("type"), str))


def kind_of(node: dict[str, Any]) -> str:
    """Return the `type` of a dict without its scope (`Resize` of `mmdet.Resize`), or an empty string."""
    return str(node.get("type", "")).rpartition(".")[2]


def kinds(tree: Any) -> set[str]:
    """Return the types that a tree names, without their scopes."""
    return {kind_of(node) for _, node in typed_dicts(tree)}


def replace(tree: Any, change: Callable[[str, Any], Any], path: str = "") -> Any:
    """Return a copy of a tree in which every node is replaced, children before their parents.

    Args:
        tree: as for `walk`.
        change: takes the path of a node, and a copy of the node with its children already replaced; returns the new
            node.
        path: path of the root.
    """
    if isinstance(tree, dict):
        tree = {key: replace(value, change, join_path(path, key)) for key, value in tree.items()}
    elif isinstance(tree, (list, tuple)):
        tree = type(tree)(replace(value, change, join_path(path, index)) for index, value in enumerate(tree))
    return change(path, tree)


def value_at(tree: Any, path: str) -> Any:
    """Return the value at a path, or None where there is none.

    Args:
        tree: nested dicts.
        path: keys joined by dots.
    """
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def join_path(path: str, key: str | int) -> str:
    """Return the path of a child.

    Args:
        path: of the parent; empty for the root.
        key: key or index of the child.
    """
    return f"{path}.{key}" if path else str(key)


def listed(tree: Any) -> Any:
    """Return a copy of a tree with a list for every tuple, since YAML and OmegaConf have no tuples."""
    return replace(tree, lambda _, node: list(node) if isinstance(node, tuple) else node)


def as_tuples(tree: Any) -> Any:
    """Return a copy of a tree with a tuple for every list."""
    return replace(tree, lambda _, node: tuple(node) if isinstance(node, list) else node)


def tuple_paths(tree: Any) -> Iterator[str]:
    """Yield the path of every tuple of a tree; `with_tuples` restores them in the output of `listed`."""
    return (path for path, node in walk(tree) if isinstance(node, tuple))


def with_tuples(tree: Any, paths: Iterable[str]) -> Any:
    """Return a copy of a tree with a tuple for the list at each path.

    Args:
        tree: as for `walk`.
        paths: of `tuple_paths`; paths without a list are ignored.
    """
    wanted = frozenset(paths)
    return replace(tree, lambda path, node: tuple(node) if isinstance(node, list) and path in wanted else node)


def _children(tree: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(tree, dict):
        return tree.items()
    return enumerate(tree) if isinstance(tree, (list, tuple)) else ()
