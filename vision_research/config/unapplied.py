"""Refuses MMEngine's inheritance keys (`_delete_`, `_base_`) in the config groups.

MMEngine applies them only while it reads a config file.
"""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.schema import TrainConfig
from vision_research.config.tree import dicts
from vision_research.config.zoo_excerpt import RUNTIME_KEYS

INHERITANCE = ("_delete_", "_base_")


def unapplied_inheritance(config: TrainConfig) -> Iterator[str]:
    """Name every `_delete_` and `_base_` in the config groups."""
    # The other keys of a zoo file are never read, and may contain anything.
    read = {key: value for key, value in (config.recipe or {}).items() if key in RUNTIME_KEYS}
    aug = {f"aug.{stage}": getattr(config.aug, stage) for stage in ("train", "final", "test")}
    recipes = {f"{group}.recipe": getattr(config, group).recipe for group in ("schedule", "aug", "data")}
    for root, tree in {"model": config.model, **aug, **recipes, "recipe": read}.items():
        group = root.partition(".")[0]
        for path, node in dicts(tree, root):
            for key in INHERITANCE:
                if key in node:
                    yield f"{path}.{key}: MMEngine's {key} has no meaning here. Choose another option: {group}=OPTION"
