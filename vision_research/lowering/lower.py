"""Assembles the MMEngine config, also with the keys of a zoo file that belong to no group (visualizer, environment)."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import SPLITS, TrainConfig
from vision_research.config.zoo_entries import RUNTIME_KEYS, zoo_excerpt
from vision_research.lowering.model import lower_model
from vision_research.lowering.runtime import lower_runtime
from vision_research.lowering.schedule import lower_schedule
from vision_research.lowering.templates import test_template, train_template
from vision_research.protocols import LoweringInputs, LoweringSpec, RunSpec


def lower(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Convert a run to an MMEngine config.

    Args:
        run: the run, already validated.
        inputs: facts about the data, the machine and the work_dir.

    Returns:
        A tree of dicts, lists, tuples and scalars.

    Raises:
        ConfigError: the class count cannot be set in the detector.
    """
    spec = LoweringSpec(**vars(run), inputs=inputs)
    runtime = lower_runtime(spec) if run.config.recipe is None else _merged_experiment(run.config, lower_runtime(spec))
    return {**runtime, **lower_schedule(spec), **_lower_data(spec), "model": lower_model(spec)}


def lower_split(run: LoweringSpec, split: str) -> dict[str, Any]:
    """Return the loader of a split, and for `val` and `test` its evaluator.

    Args:
        run: the run.
        split: `train`, `val` or `test`.
    """
    template = train_template(run) if split == "train" else test_template(run, split)
    lowered = {f"{split}_dataloader": run.task.loader(run, split, template, run.feeds)}
    return lowered if split == "train" else {**lowered, f"{split}_evaluator": run.task.evaluator(run, split)}


def _lower_data(run: LoweringSpec) -> dict[str, Any]:
    lowered = {key: value for split in SPLITS for key, value in lower_split(run, split).items()}
    # A zoo file may lack the keys of validation or test.
    return {key: value for key, value in lowered.items() if value is not None or key in (run.data.recipe or {})}


def _merged_experiment(config: TrainConfig, tree: dict[str, Any]) -> dict[str, Any]:
    """Merge our runtime config with the rest of a zoo file; ours takes precedence where the framework depends on it."""
    rest = zoo_excerpt(config.recipe)
    recipes = (config.model_recipe, config.schedule.recipe, config.aug.recipe, config.data.recipe)
    if any((recipe or {}).get("zoo") != (config.recipe or {})["zoo"] for recipe in recipes):
        # Not all groups come from this file.
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
