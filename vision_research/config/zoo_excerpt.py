"""The part of a zoo file that the `recipe` of a config group contains."""

from __future__ import annotations

from typing import Any

from vision_research.config.tree import with_tuples

# Keys of a `recipe` that are not from the zoo file.
ADDED_KEYS = ("zoo", "tuples", "base_batch_size", "hook_order", "root")
# Keys of a file that MMEngine's Runner and MMDetection's tools read. Others (`train_pipeline`, `data_root`) are
# variables of the file, and would be wrong where another option of a group is chosen.
RUNTIME_KEYS = (
    "default_scope",
    "default_hooks",
    "env_cfg",
    "visualizer",
    "log_processor",
    "log_level",
    "load_from",
    "custom_imports",
    "randomness",
    "find_unused_parameters",
    "tta_model",
    "tta_pipeline",
)


def zoo_excerpt(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a recipe that are from the zoo file, with its tuples restored."""
    return dict(with_tuples({key: value for key, value in recipe.items() if key not in ADDED_KEYS}, recipe["tuples"]))
