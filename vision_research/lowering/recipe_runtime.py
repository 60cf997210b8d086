"""Lowers the keys of a zoo file that belong to no group (visualizer, environment, ...)."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import TrainConfig
from vision_research.config.zoo_entries import RUNTIME_KEYS, zoo_excerpt


def merge_experiment(config: TrainConfig, tree: dict[str, Any]) -> dict[str, Any]:
    """Merge our runtime config with the keys of a zoo file that belong to no group.

    Args:
        config: the run, with a `recipe`.
        tree: our runtime config, which takes precedence where the framework depends on it.
    """
    assert config.recipe is not None
    rest = zoo_excerpt(config.recipe)
    if not _is_one_file(config):
        rest = {key: rest[key] for key in RUNTIME_KEYS if key in rest}
    environment = rest.get("env_cfg") or {}
    imports = (rest.get("custom_imports") or {}).get("imports") or []
    # Our arguments for the hooks that write checkpoints and logs.
    ours = {name: hook for name, hook in tree["default_hooks"].items() if name in ("checkpoint", "logger")}
    hooks = {name: {**hook, **ours.get(name, {})} for name, hook in (rest.get("default_hooks") or {}).items()}
    starts_from_file = config.model.get("weights") == "backbone" and tree["load_from"] is None
    return {
        **tree,
        **{key: value for key, value in rest.items() if key not in tree},
        "default_scope": rest.get("default_scope", tree["default_scope"]),
        "log_level": rest.get("log_level", tree["log_level"]),
        "load_from": rest.get("load_from") if starts_from_file else tree["load_from"],
        "default_hooks": {**tree["default_hooks"], **hooks},
        "env_cfg": {
            **environment,
            "cudnn_benchmark": tree["env_cfg"]["cudnn_benchmark"] or environment.get("cudnn_benchmark", False),
            "mp_cfg": environment.get("mp_cfg", tree["env_cfg"]["mp_cfg"]),
            "dist_cfg": {**environment.get("dist_cfg", {}), **tree["env_cfg"]["dist_cfg"]},
        },
        "visualizer": {**rest.get("visualizer", {}), "vis_backends": tree["visualizer"]["vis_backends"]},
        "log_processor": {**rest.get("log_processor", {}), **tree["log_processor"]},
        "randomness": {**rest.get("randomness", {}), **tree["randomness"]},
        "find_unused_parameters": tree["find_unused_parameters"] or rest.get("find_unused_parameters", False),
        "custom_imports": {
            **tree["custom_imports"],
            "imports": list(dict.fromkeys([*tree["custom_imports"]["imports"], *imports])),
        },
    }


def _is_one_file(config: TrainConfig) -> bool:
    """Return whether all groups come from the zoo file of the experiment."""
    recipes = (config.model.get("recipe"), config.schedule.recipe, config.aug.recipe, config.data.recipe)
    assert config.recipe is not None
    return all(recipe is not None and recipe["zoo"] == config.recipe["zoo"] for recipe in recipes)
