"""Converts a zoo file to an option of the `model` group: the detector, `weights`, and how it was trained (`recipe`).

Pure functions over the tree of an MMEngine config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vision_research.config.tree import listed, tuple_paths

# Hooks that belong to the detector. The others belong to the data pipeline (stage switches) or are replaced by ours.
MODEL_HOOKS = ("EMAHook", "SyncNormHook", "MeanTeacherHook", "NumClassCheckHook")
L1_SWITCH_HOOK = "YOLOXModeSwitchHook"
# Transforms that mirror an image with some probability.
FLIPS = ("RandomFlip", "RandomFlip_GLIP")
# `8xb32` in a file's name: 8 GPUs of 32 images each.
BATCH_IN_NAME = re.compile(r"_(\d+)xb(\d+)")


def model_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Convert an MMDetection config to the content of the `model` group.

    Args:
        config: `mmengine.Config.to_dict()` of a zoo file.
        name: its name in the zoo, `<family>/<config>`.

    Returns:
        The detector's keys, `weights` and `recipe`. YAML has no tuples, so `recipe.tuples` lists the paths of the
        detector's tuples, and lowering restores them.

    Raises:
        KeyError: the file defines no model.
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
    """Return the batch size that the learning rate was chosen for, or None.

    The name of the file takes precedence over `auto_scale_lr`: RTMDet's files inherit 16 there, and used 8x32.

    Args:
        config: of a zoo file.
        name: its name in the zoo.
    """
    if found := BATCH_IN_NAME.search(name):
        return int(found[1]) * int(found[2]) // _drawn_at_once(config)
    return (config.get("auto_scale_lr") or {}).get("base_batch_size")


def _drawn_at_once(config: dict[str, Any]) -> int:
    """Count the images of one sample: a sample of re-identification consists of several crops."""
    dataset = (config.get("train_dataloader") or {}).get("dataset") or {}
    drawn = dataset.get("triplet_sampler") or {}
    return int(drawn.get("num_ids", 1)) * int(drawn.get("ins_per_id", 1))


def feeding(config: dict[str, Any]) -> dict[str, Any]:
    """Return the image size and padding that the detector was trained with, and whether masks were loaded."""
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
    # A panoptic map contains the masks of the things.
    defaults = {"LoadAnnotations": False, "LoadTrackAnnotations": False, "LoadPanopticAnnotations": True}
    return step["type"] in defaults and bool(step.get("with_mask", defaults[step["type"]]))


def steps_of(loader: Any) -> Iterator[dict[str, Any]]:
    """Yield the transforms of a loader, including those of wrappers around its data set; the outermost come last."""
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
    """Return the largest (width, height) that a resizing step produces."""
    scale = step.get("scale") or step.get("scales") or step.get("img_scale")
    if step["type"] not in ("Resize", "RandomResize", "RandomChoiceResize", "FixScaleResize") or not scale:
        return None
    candidates: list[tuple[int, int]] = list(scale) if isinstance(scale[0], (tuple, list)) else [scale]
    width, height = max(candidates, key=lambda pair: pair[0] * pair[1])
    return int(width), int(height)
