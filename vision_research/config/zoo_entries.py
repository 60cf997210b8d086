"""One zoo file as options of the groups `schedule`, `aug`, `data` and `experiment`; `recipe` makes the `model` of it.

Each option carries the words of the file as they are (`recipe`), and beside them the knobs of our schema at the values
that the file has, or null where it has no single one. Lowering lays the knobs over the words, so that nothing changes
where nothing was typed. Pure functions over the tree of an MMEngine config.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_research.config.dataset_tree import kind_of, part
from vision_research.config.recipe import (
    FLIPS,
    L1_SWITCH_HOOK,
    MODEL_HOOKS,
    base_batch_size,
    feeding,
    listed,
    tuple_paths,
)

SPLITS = ("train", "val", "test")
STAGE_HOOKS = ("PipelineSwitchHook", L1_SWITCH_HOOK)
# Words of a file by the group that carries them; `recipe` of an experiment has all others.
SCHEDULE_KEYS = ("train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr")
DATA_KEYS = ("train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator", "test_evaluator")
# How the learning rate moves has no single value in a list of schedulers: null is what the list says.
SHAPE = ("warmup_iters", "warmup_start_factor", "decay", "milestones", "gamma", "decay_begin", "min_lr_factor")
# What each metric calls the value that a detector is chosen by.
COCO_MONITORS = {"bbox": "coco/bbox_mAP", "segm": "coco/segm_mAP", "proposal": "coco/AR@1000"}
MONITORS = {
    "LVISMetric": "lvis/bbox_AP",
    "LVISFixedAPMetric": "lvis_fixed_ap/AP",
    "VOCMetric": "pascal_voc/mAP",
    "OpenImagesMetric": "openimages/mAP",
    "CocoPanopticMetric": "coco_panoptic/PQ",
    "CityScapesMetric": "cityscapes/mAP",
    "MOTChallengeMetric": "motchallenge-metric/MOTA",
    "YouTubeVISMetric": "youtube_vis/segm_mAP",
    "CrowdHumanMetric": "crowd_human/AP",
    "ReIDMetrics": "reid-metric/mAP",
    "OVCocoMetric": "coco/bbox_mAP",
}


def schedule_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn an MMDetection config into the content of the `schedule` group.

    Raises:
        KeyError: the file trains nothing.
    """
    if not config.get("train_cfg"):
        raise KeyError(f"zoo/{name} trains nothing, so it has no schedule")
    words = {key: config[key] for key in SCHEDULE_KEYS if key in config}
    loop, hooks = config["train_cfg"], config.get("default_hooks") or {}
    checkpoint = hooks.get("checkpoint") or {}
    mine = {kind: hook for kind, hook in _hooks(config).items() if kind not in (*MODEL_HOOKS, *STAGE_HOOKS)}
    return {
        "max_epochs": loop.get("max_epochs"),
        "max_iters": loop.get("max_iters"),
        # Some files compute theirs, and have 57300.0.
        "val_interval": int(loop.get("val_interval", 1)),
        "dynamic_intervals": [[int(point) for point in pair] for pair in loop.get("dynamic_intervals") or []],
        "checkpoint_interval": int(checkpoint["interval"]) if "interval" in checkpoint else None,
        "max_keep_ckpts": checkpoint.get("max_keep_ckpts", 3),
        "accumulation": (config.get("optim_wrapper") or {}).get("accumulative_counts", 1),
        **dict.fromkeys(SHAPE),
        "recipe": {**_carried(name, {**words, "hooks": mine}), "base_batch_size": base_batch_size(config, name)},
    }


def aug_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn an MMDetection config into the content of the `aug` group.

    Raises:
        KeyError: the file trains nothing.
    """
    if not config.get("train_dataloader"):
        raise KeyError(f"zoo/{name} trains nothing, so it has no augmentation")
    frames = {split: part(dataset)[0] for split, dataset in _datasets(config)}
    hooks = {kind: hook for kind, hook in _hooks(config).items() if kind in STAGE_HOOKS}
    preprocessor = (config.get("model") or {}).get("data_preprocessor") or config.get("data_preprocessor") or {}
    words = {**frames, "hooks": hooks, "batch_augments": preprocessor.get("batch_augments")}
    carried = _carried(name, words)
    # Of validation a file mirrors nothing; what its tests with augmentation mirror is counted, not drawn.
    flipped = {key: _flipped_as_the_data_allows(carried[key]) for key in ("train", "hooks") if key in carried}
    return {
        "image_size": feeding(config)["image_size"],
        "final_epochs": _final_epochs(config, hooks),
        "recipe": {**carried, **flipped, "hook_order": list(_hooks(config))},
    }


def data_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn an MMDetection config into the content of the `data` group: the file's own data sets.

    Raises:
        KeyError: the file names no training data.
    """
    train, val = config.get("train_dataloader"), config.get("val_dataloader") or {}
    if not train:
        raise KeyError(f"zoo/{name} names no training data")
    words: dict[str, Any] = {key: config[key] for key in DATA_KEYS if key in config}
    for split, dataset in _datasets(config):
        loader = f"{split}_dataloader"
        words[loader] = {key: value for key, value in words[loader].items() if key != "dataset"}
        words[split] = part(dataset)[1]
    first = words["train"][0]
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
        "recipe": {**_carried(name, words), "root": config.get("data_root") or first.get("data_root") or ""},
    }


def experiment_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn an MMDetection config into an experiment: every group from this file, and what belongs to no group."""
    rest = {key: value for key, value in config.items() if key not in ("model", *SCHEDULE_KEYS, *DATA_KEYS)}
    rest.pop("custom_hooks", None)
    schedule: dict[str, Any] = {"schedule": {"monitor": monitor}} if (monitor := _monitor(config)) else {}
    seed = (config.get("randomness") or {}).get("seed")
    return {
        "defaults": [{f"override /{group}": f"zoo/{name}"} for group in ("model", "schedule", "aug", "data")],
        **schedule,
        **({} if seed is None else {"seed": seed}),
        "recipe": _carried(name, rest),
    }


def _flipped_as_the_data_allows(node: Any) -> Any:
    """Let `data.flip_prob` reach the flips of a file, where the data has one: a mirrored 2 is no 2.

    It is an interpolation in the place of the file's number, so that a number that is typed there still wins.
    """
    if isinstance(node, list):
        return [_flipped_as_the_data_allows(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _flipped_as_the_data_allows(value) for key, value in node.items()}
    prob = node.get("prob")
    if kind_of(node) in FLIPS and isinstance(prob, (int, float)):
        changed["prob"] = f"${{first:${{data.flip_prob}},{prob}}}"
    return changed


def _carried(name: str, words: dict[str, Any]) -> dict[str, Any]:
    return {"zoo": name, "tuples": list(tuple_paths(words)), **listed(words)}


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


def _monitor(config: dict[str, Any]) -> str | None:
    evaluator = config.get("val_evaluator")
    if not evaluator:
        return None
    metric = evaluator[0] if isinstance(evaluator, list) else evaluator
    # `auto` is MMEngine's word for the first value that the metric gives.
    name = MONITORS.get(metric["type"], "auto")
    if metric["type"] == "CocoMetric":
        kinds = metric.get("metric", "bbox")
        name = next((name for kind, name in COCO_MONITORS.items() if kind in kinds), "auto")
    of_both = (config.get("val_cfg") or {}).get("type") == "TeacherStudentValLoop"
    return f"teacher/{name}" if of_both and name != "auto" else name
