"""Converts a zoo file to options of the groups `schedule`, `aug`, `data` and `experiment` (`recipe.py`: `model`).

An option contains the file's own keys unchanged (`recipe`), and the keys of our schema with the file's values, or null
where it has no single value. Lowering applies the schema keys on top of the recipe, so nothing changes unless a key is
overridden. Pure functions over the tree of an MMEngine config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from vision_research.config.dataset_tree import separate
from vision_research.config.recipe import FLIPS, L1_SWITCH_HOOK, MODEL_HOOKS, base_batch_size, feeding, model_entry
from vision_research.config.schema import SPLITS, TrainConfig
from vision_research.config.tree import kind_of, listed, replace, tuple_paths, with_tuples

STAGE_HOOKS = ("PipelineSwitchHook", L1_SWITCH_HOOK)
# Keys of a file by the group whose recipe contains them; the recipe of an experiment has all others.
SCHEDULE_KEYS = ("train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr")
DATA_KEYS = ("train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator", "test_evaluator")
# Keys of a `recipe` that are not from the zoo file.
ADDED_KEYS = ("zoo", "tuples", "base_batch_size", "hook_order", "root")
# Keys of a file that MMEngine's Runner and MMDetection's tools read. Others (`train_pipeline`, `data_root`) are
# variables of the file, and would be wrong where another option of a group is chosen.
RUNTIME_KEYS = (
    *("default_scope", "default_hooks", "env_cfg", "visualizer", "log_processor", "log_level", "load_from"),
    *("custom_imports", "randomness", "find_unused_parameters", "tta_model", "tta_pipeline"),
)
SGD = {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001}
# These keys have no single value in a list of schedulers; null keeps the list.
SHAPE = ("warmup_iters", "warmup_start_factor", "decay", "milestones", "gamma", "decay_begin", "min_lr_factor")


def _schedule_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    if not config.get("train_cfg"):
        raise KeyError(f"zoo/{name} trains nothing, so it has no schedule")
    excerpt = {key: config[key] for key in SCHEDULE_KEYS if key in config}
    loop, hooks = config["train_cfg"], config.get("default_hooks") or {}
    checkpoint = hooks.get("checkpoint") or {}
    mine = {kind: hook for kind, hook in _hooks(config).items() if kind not in (*MODEL_HOOKS, *STAGE_HOOKS)}
    return {
        "max_epochs": loop.get("max_epochs"),
        "max_iters": loop.get("max_iters"),
        # Some files compute theirs as a float (57300.0).
        "val_interval": int(loop.get("val_interval", 1)),
        "dynamic_intervals": [[int(point) for point in pair] for pair in loop.get("dynamic_intervals") or []],
        "checkpoint_interval": int(checkpoint["interval"]) if "interval" in checkpoint else None,
        "max_keep_ckpts": checkpoint.get("max_keep_ckpts", 3),
        "accumulation": (config.get("optim_wrapper") or {}).get("accumulative_counts", 1),
        **dict.fromkeys(SHAPE),
        "recipe": {**_recipe(name, {**excerpt, "hooks": mine}), "base_batch_size": base_batch_size(config, name)},
    }


def _aug_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    if not config.get("train_dataloader"):
        raise KeyError(f"zoo/{name} trains nothing, so it has no augmentation")
    templates = {split: separate(dataset)[0] for split, dataset in _datasets(config)}
    hooks = {kind: hook for kind, hook in _hooks(config).items() if kind in STAGE_HOOKS}
    preprocessor = (config.get("model") or {}).get("data_preprocessor") or config.get("data_preprocessor") or {}
    excerpt = {**templates, "hooks": hooks, "batch_augments": preprocessor.get("batch_augments")}
    recipe = _recipe(name, excerpt)
    # Validation pipelines do not mirror, and those of test-time augmentation mirror deterministically.
    flipped = {key: _flipped_as_the_data_allows(recipe[key]) for key in ("train", "hooks") if key in recipe}
    return {
        "image_size": feeding(config)["image_size"],
        "final_epochs": _final_epochs(config, hooks),
        "recipe": {**recipe, **flipped, "hook_order": list(_hooks(config))},
    }


def _data_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    train, val = config.get("train_dataloader"), config.get("val_dataloader") or {}
    if not train:
        raise KeyError(f"zoo/{name} names no training data")
    excerpt: dict[str, Any] = {key: config[key] for key in DATA_KEYS if key in config}
    for split, dataset in _datasets(config):
        loader = f"{split}_dataloader"
        excerpt[loader] = {key: value for key, value in excerpt[loader].items() if key != "dataset"}
        excerpt[split] = separate(dataset)[1]
    first = excerpt["train"][0]
    return {
        "kind": "zoo",
        "root": config.get("data_root") or first.get("data_root") or "",
        "train_ann": "",
        "val_ann": "",
        "batch_size": train.get("batch_size", 1),
        "val_batch_size": val.get("batch_size", 1),
        "num_workers": train.get("num_workers", 0),
        "persistent_workers": train.get("persistent_workers", False),
        "default_weights": "backbone",
        "recipe": {**_recipe(name, excerpt), "root": config.get("data_root") or first.get("data_root") or ""},
    }


def _experiment_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an experiment: all groups from this file, and the keys of no group."""
    rest = {key: value for key, value in config.items() if key not in ("model", *SCHEDULE_KEYS, *DATA_KEYS)}
    rest.pop("custom_hooks", None)
    seed = (config.get("randomness") or {}).get("seed")
    return {
        "defaults": [{f"override /{group}": f"zoo/{name}"} for group in ("model", "schedule", "aug", "data")],
        **({} if seed is None else {"seed": seed}),
        "recipe": _recipe(name, rest),
    }


def _flipped_as_the_data_allows(tree: Any) -> Any:
    """Let `data.flip_prob`, unless it is null, set the probability of a file's flips: a mirrored digit is not a digit.

    The file's number becomes an interpolation, which an override of that number replaces.
    """

    def change(_: str, node: Any) -> Any:
        is_flip = isinstance(node, dict) and kind_of(node) in FLIPS and isinstance(node.get("prob"), (int, float))
        return {**node, "prob": f"${{first:${{data.flip_prob}},{node['prob']}}}"} if is_flip else node

    return replace(tree, change)


def _recipe(name: str, excerpt: dict[str, Any]) -> dict[str, Any]:
    return {"zoo": name, "tuples": list(tuple_paths(excerpt)), **listed(excerpt)}


def _datasets(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for split in SPLITS:
        dataset = (config.get(f"{split}_dataloader") or {}).get("dataset")
        if dataset:
            yield split, dataset


def _hooks(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(hook["type"]).removeprefix("mmdet."): hook for hook in config.get("custom_hooks") or []}


def _final_epochs(config: dict[str, Any], hooks: dict[str, dict[str, Any]]) -> int:
    length = (config.get("train_cfg") or {}).get("max_epochs")
    if "PipelineSwitchHook" in hooks and length:
        return int(length - hooks["PipelineSwitchHook"]["switch_epoch"])
    return int(hooks.get(L1_SWITCH_HOOK, {}).get("num_last_epochs", 0))


def zoo_excerpt(recipe: dict[str, Any] | None) -> dict[str, Any]:
    """Return the keys of a recipe that are from the zoo file, with its tuples restored."""
    assert recipe is not None, "only an option of the zoo has a recipe"
    return dict(with_tuples({key: value for key, value in recipe.items() if key not in ADDED_KEYS}, recipe["tuples"]))


def recipe_optimizer(config: TrainConfig) -> dict[str, Any]:
    """Return the optimizer of the schedule's zoo file, else of the detector's, else SGD."""
    return deepcopy(recipe_optim_wrapper(config).get("optimizer") or SGD)


def recipe_optim_wrapper(config: TrainConfig) -> dict[str, Any]:
    """Return the optimizer wrapper of the schedule's zoo file, else of the detector's, else an empty dict."""
    if config.schedule.recipe is not None:
        return dict(zoo_excerpt(config.schedule.recipe).get("optim_wrapper") or {})
    return dict(config.model_recipe.get("optim_wrapper") or {})


ENTRIES: Mapping[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "model": model_entry,
    "schedule": _schedule_entry,
    "aug": _aug_entry,
    "data": _data_entry,
    "experiment": _experiment_entry,
}
"""Converters of a zoo file to an option of each group.

They take `mmengine.Config.to_dict()` of the file and its name in the zoo (`<family>/<config>`), and raise a KeyError
for a file without that part.
"""
