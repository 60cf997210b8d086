"""Lowers what a zoo file says around its training: hooks, visualizer, environment, and words of no group."""

from __future__ import annotations

from typing import Any

from vision_research.config.lowering.tuples import words_of
from vision_research.config.schema import DataKind, TrainConfig

# Words that MMEngine's Runner and MMDetection's tools read. Others (`train_pipeline`, `data_root`) are variables of the
# file, and would lie where another group was chosen.
READ = (
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


def schedule_hooks(config: TrainConfig) -> list[dict[str, Any]]:
    """Return the hooks that a file's schedule brings (a check of the losses, buffers kept in step)."""
    return list(words_of(config.schedule.recipe)["hooks"].values()) if config.schedule.recipe is not None else []


def file_stage_hooks(config: TrainConfig, switch_at: int | None) -> list[dict[str, Any]]:
    """Return MMDetection's own hooks that switch stages, where they work: around the data that they were written for.

    Args:
        config: a run that counts in epochs.
        switch_at: epochs before the switch, or None for no second stage.
    """
    if config.aug.recipe is None or switch_at is None:
        return []
    hooks = words_of(config.aug.recipe)["hooks"]
    if config.data.kind is DataKind.zoo and "PipelineSwitchHook" in hooks:
        return [{**hooks["PipelineSwitchHook"], "switch_epoch": switch_at}]
    is_yolox = (config.model.get("recipe") or {}).get("zoo") == config.aug.recipe["zoo"]
    if is_yolox and "YOLOXModeSwitchHook" in hooks:
        return [{**hooks["YOLOXModeSwitchHook"], "num_last_epochs": config.aug.final_epochs}]
    return []


def with_rest(config: TrainConfig, tree: dict[str, Any]) -> dict[str, Any]:
    """Lay our runtime over what the file says beside its groups; ours alone are the values that a run is kept by.

    Args:
        config: the run, with a `recipe`.
        tree: the runtime as it is without the file.
    """
    assert config.recipe is not None
    rest = words_of(config.recipe)
    if not _is_whole(config):
        rest = {key: rest[key] for key in READ if key in rest}
    environment, hooks = rest.get("env_cfg") or {}, rest.get("default_hooks") or {}
    imports = (rest.get("custom_imports") or {}).get("imports") or []
    starts_from_file = config.model.get("weights") == "backbone" and tree["load_from"] is None
    return {
        **tree,
        **{key: value for key, value in rest.items() if key not in tree},
        "default_scope": rest.get("default_scope", tree["default_scope"]),
        "log_level": rest.get("log_level", tree["log_level"]),
        "load_from": rest.get("load_from") if starts_from_file else tree["load_from"],
        "default_hooks": {**tree["default_hooks"], **_default_hooks(hooks, tree["default_hooks"])},
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


def _is_whole(config: TrainConfig) -> bool:
    recipes = (config.model.get("recipe"), config.schedule.recipe, config.aug.recipe, config.data.recipe)
    assert config.recipe is not None
    return all(recipe is not None and recipe["zoo"] == config.recipe["zoo"] for recipe in recipes)


def _default_hooks(file: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the file's hooks, with our words for those that write checkpoints and logs."""
    return {name: {**hook, **(ours[name] if name in ("checkpoint", "logger") else {})} for name, hook in file.items()}
