"""Finds MMEngine's words of inheritance where none of its files is read any more: there they would be plain keys."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.lowering.recipe_runtime import READ
from vision_research.config.schema import TrainConfig

INHERITANCE = ("_delete_", "_base_")


def left_over_words(config: TrainConfig) -> Iterator[str]:
    """Name every `_delete_` and `_base_` in what the groups carry."""
    # The variables of a zoo file are read by no one, and may hold anything.
    read = {key: value for key, value in (config.recipe or {}).items() if key in READ}
    aug = {f"aug.{stage}": getattr(config.aug, stage) for stage in ("train", "final", "test")}
    recipes = {f"{group}.recipe": getattr(config, group).recipe for group in ("schedule", "aug", "data")}
    for root, tree in {"model": config.model, **aug, **recipes, "recipe": read}.items():
        for path, key in _places(tree, root):
            group = root.partition(".")[0]
            yield f"{path}.{key}: MMEngine's {key} has no meaning here. Choose another option: {group}=OPTION"


def _places(tree: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        yield from ((path, key) for key in INHERITANCE if key in tree)
        for key, value in tree.items():
            yield from _places(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _places(value, f"{path}.{index}")
