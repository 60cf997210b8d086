"""What a zoo file says beyond the detector itself: how its authors trained and fed it.

Pure functions over the tree of an MMEngine config. The result is the `model` group: detector, `weights`, `recipe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Hooks of the recipe that stay with the detector. The others belong to its data pipeline (stage switches) or are ours.
MODEL_HOOKS = ("EMAHook", "SyncNormHook", "MeanTeacherHook", "NumClassCheckHook")
L1_SWITCH_HOOK = "YOLOXModeSwitchHook"
# Transforms that mirror an image with some probability.
FLIPS = ("RandomFlip", "RandomFlip_GLIP")
# `8xb32` in a file's name: 8 GPUs of 32 images each.
BATCH_IN_NAME = re.compile(r"_(\d+)xb(\d+)")


def has_masks(model: dict[str, Any]) -> bool:
    """Tell whether the detector of a `model` group is trained on masks beside boxes."""
    return bool((model.get("recipe") or {}).get("with_mask"))


def model_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Turn an MMDetection config into the content of the `model` group.

    Args:
        config: `mmengine.Config.to_dict()` of a zoo file.
        name: its name in the zoo, `<family>/<config>`.

    Returns:
        The detector's own keys, `weights`, and `recipe`. YAML has no tuples: `recipe.tuples` names the keys of the
        detector that were tuples, so that lowering gives them back as they were.

    Raises:
        KeyError: the file holds no model.
    """
    if "model" not in config:
        raise KeyError(f"zoo/{name} holds no model")
    model = dict(config["model"])
    if "data_preprocessor" not in model and config.get("data_preprocessor"):
        model["data_preprocessor"] = config["data_preprocessor"]
    entry: dict[str, Any] = listed(model)
    entry["weights"] = "${data.default_weights}"
    entry["recipe"] = {
        "zoo": name,
        "tuples": list(tuple_paths(model)),
        "backbone": entry.get("backbone"),
        **_training(config, name),
        **feeding(config),
    }
    return entry


def _training(config: dict[str, Any], name: str) -> dict[str, Any]:
    hooks = config.get("custom_hooks") or []
    kinds = {hook["type"].removeprefix("mmdet."): hook for hook in hooks if isinstance(hook.get("type"), str)}
    return {
        "optim_wrapper": listed(config.get("optim_wrapper") or {}),
        "base_batch_size": base_batch_size(config, name),
        "hooks": {kind: listed(hook) for kind, hook in kinds.items() if kind in MODEL_HOOKS},
        "l1_epochs": kinds.get(L1_SWITCH_HOOK, {}).get("num_last_epochs"),
        "find_unused_parameters": bool(config.get("find_unused_parameters", False)),
    }


def base_batch_size(config: dict[str, Any], name: str) -> int | None:
    """Return the batch that the learning rate was chosen for.

    The file's name is trusted before its `auto_scale_lr`: RTMDet's files inherit 16 there and were trained with 8x32.
    """
    if found := BATCH_IN_NAME.search(name):
        return int(found[1]) * int(found[2]) // _drawn_at_once(config)
    return (config.get("auto_scale_lr") or {}).get("base_batch_size")


def _drawn_at_once(config: dict[str, Any]) -> int:
    """Count the images of one sample: re-identification draws several crops of several identities."""
    dataset = (config.get("train_dataloader") or {}).get("dataset") or {}
    drawn = dataset.get("triplet_sampler") or {}
    return int(drawn.get("num_ids", 1)) * int(drawn.get("ins_per_id", 1))


def feeding(config: dict[str, Any]) -> dict[str, Any]:
    """Say what images the detector was fed with: their size, padding, and whether masks came with them."""
    test = list(steps_of(config.get("val_dataloader"))) or list(steps_of(config.get("test_dataloader")))
    train = list(steps_of(config.get("train_dataloader")))
    scale = next((found for step in [*test, *train] if (found := _largest(step))), (1333, 800))
    pad = next((step for step in test if step["type"] == "Pad"), None)
    pad_val = pad.get("pad_val", 0) if pad else 0
    return {
        # MMCV writes (width, height); ours, like torch's tensors, is [height, width].
        "image_size": [scale[1], scale[0]],
        "letterbox": pad is not None,
        "pad_val": listed(pad_val),
        "with_mask": any(map(_loads_masks, train)),
    }


def _loads_masks(step: dict[str, Any]) -> bool:
    # A panoptic map has the masks of its things.
    defaults = {"LoadAnnotations": False, "LoadTrackAnnotations": False, "LoadPanopticAnnotations": True}
    return step["type"] in defaults and bool(step.get("with_mask", defaults[step["type"]]))


def steps_of(loader: Any) -> Iterator[dict[str, Any]]:
    """Yield the transforms of a loader, through the wrappers around its data set, outermost last."""
    if not isinstance(loader, dict):
        return
    dataset = loader.get("dataset")
    if isinstance(dataset, dict):
        yield from steps_of(dataset)
    for child in loader.get("datasets") or []:
        yield from steps_of({"dataset": child})
    for step in loader.get("pipeline") or []:
        if isinstance(step, dict) and isinstance(step.get("type"), str):
            yield {**step, "type": step["type"].removeprefix("mmdet.")}
            for inner in step.get("transforms") or []:
                choices = inner if isinstance(inner, list) else [inner]
                yield from steps_of({"pipeline": choices})


def _largest(step: dict[str, Any]) -> tuple[int, int] | None:
    """Return the (width, height) a resizing step aims at."""
    scale = step.get("scale") or step.get("scales") or step.get("img_scale")
    if step["type"] not in ("Resize", "RandomResize", "RandomChoiceResize", "FixScaleResize") or not scale:
        return None
    candidates: list[tuple[int, int]] = list(scale) if isinstance(scale[0], (tuple, list)) else [scale]
    width, height = max(candidates, key=lambda pair: pair[0] * pair[1])
    return int(width), int(height)


def listed(value: Any) -> Any:
    """Return the tree with every tuple as a list, since OmegaConf keeps none."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    return value


def tuple_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every tuple in the tree."""
    if isinstance(value, tuple):
        yield path
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    for key, item in items:
        yield from tuple_paths(item, f"{path}.{key}" if path else str(key))
