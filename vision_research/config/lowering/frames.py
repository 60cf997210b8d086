"""Lowers what is done to images: a frame of wrappers and pipelines, in which `data` then puts its data sets.

A frame comes from the steps of an `aug` option, or in the words of a zoo file (`aug=zoo/...`). A file's words stay as
they are around its own data; around ours they load our images, with the masks that the detector needs.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from vision_research.config.dataset_tree import PLACE, kind_of, pipelines
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.language import naming_tokenizer, packing_text
from vision_research.config.lowering.panoptic import is_scored_on_maps, map_step, trains_on_maps
from vision_research.config.lowering.pipelines import (
    TEST_META_KEYS,
    image_backend,
    load_step,
    needs_instances,
    split_at_mixing,
    test_pipeline,
    train_pipeline,
)
from vision_research.config.lowering.sizes import resized
from vision_research.config.lowering.tuples import words_of
from vision_research.config.recipe import has_masks
from vision_research.config.schema import DataKind, TrainConfig

Step = dict[str, Any]


def train_frame(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return wrappers and pipelines of the training images."""
    if config.aug.recipe is not None:
        return _recipe_frame(config, "train", lambda step: _train_step(step, config, inputs))
    own, mixed = split_at_mixing(train_pipeline(config, inputs))
    frame: dict[str, Any] = {PLACE: 0, "pipeline": own}
    return {"type": "MultiImageMixDataset", "dataset": frame, "pipeline": mixed} if mixed else frame


def test_frame(config: TrainConfig, split: str) -> dict[str, Any]:
    """Return wrappers and pipelines of validation or test images."""
    if config.aug.recipe is not None and config.aug.recipe.get(split):
        return _recipe_frame(config, split, lambda step: _test_step(step, config))
    return {PLACE: 0, "pipeline": test_pipeline(config)}


def final_recipe_pipeline(config: TrainConfig, inputs: LoweringInputs) -> list[Step] | None:
    """Return the weak pipeline of a zoo file for the end of training, from loading to packing; None without one."""
    assert config.aug.recipe is not None
    hooks = words_of(config.aug.recipe)["hooks"]
    if "PipelineSwitchHook" in hooks:
        steps = resized(hooks["PipelineSwitchHook"]["switch_pipeline"], config.aug.image_size, config.image_size)
        fitted = [_train_step(step, config, inputs) for step in steps]
        text = naming_tokenizer if config.data.kind is DataKind.zoo else packing_text
        return text(fitted, config.model)
    if "YOLOXModeSwitchHook" in hooks:
        skipped = hooks["YOLOXModeSwitchHook"].get("skip_type_keys", ("Mosaic", "RandomAffine", "MixUp"))
        mixed, *inner = pipelines(train_frame(config, inputs))
        kept = [step for step in mixed if step["type"] not in skipped]
        return [*inner[0], *kept] if inner else kept
    return None


def _recipe_frame(config: TrainConfig, split: str, fit: Callable[[Step], Step]) -> dict[str, Any]:
    assert config.aug.recipe is not None
    frame: dict[str, Any] = resized(words_of(config.aug.recipe)[split], config.aug.image_size, config.image_size)
    for pipeline in pipelines(frame):
        if config.data.kind is DataKind.zoo:
            pipeline[:] = naming_tokenizer(pipeline, config.model)
        else:
            pipeline[:] = packing_text([fit(step) for step in pipeline], config.model)
    return frame


def _train_step(step: Step, config: TrainConfig, inputs: LoweringInputs) -> Step:
    kind = kind_of(step)
    if config.data.kind is DataKind.zoo:
        return step
    if kind == "LoadImageFromFile":
        return {**_how_it_is_read(step), **load_step(config, inputs)}
    if kind in ("LoadAnnotations", "LoadPanopticAnnotations") and trains_on_maps(config):
        return map_step(config)
    if kind == "LoadPanopticAnnotations":
        return _with_masks({"type": "LoadAnnotations", "with_bbox": True}, config, inputs)
    return _with_masks(step, config, inputs) if kind == "LoadAnnotations" else _of_frames(step, config)


def _of_frames(step: Step, config: TrainConfig) -> Step:
    """Let the steps that are done to each frame of a video load the masks that the detector needs."""
    if kind_of(step) == "TransformBroadcaster":
        return {**step, "transforms": [_of_frames(inner, config) for inner in step["transforms"]]}
    loads = kind_of(step) == "LoadTrackAnnotations" and has_masks(config.model)
    return {**step, "with_mask": True} if loads else step


def _with_masks(step: Step, config: TrainConfig, inputs: LoweringInputs) -> Step:
    changed = deepcopy(step)
    if has_masks(config.model):
        changed["with_mask"] = True
    if changed.get("with_mask") and inputs.masks == "rle" and changed.get("poly2mask") is False:
        # Run lengths are no polygons; MMDetection would ignore every object.
        changed["poly2mask"] = True
    return changed


def _test_step(step: Step, config: TrainConfig) -> Step:
    if kind_of(step) == "LoadImageFromFile":
        backend = image_backend(config, config.data.val_prefix)
        return {**_how_it_is_read(step), "type": "LoadImageOrSkip", "backend_args": backend, "skip": False}
    if kind_of(step) == "LoadPanopticAnnotations" or (kind_of(step) == "LoadAnnotations" and is_scored_on_maps(config)):
        # Panoptic quality reads its maps by itself.
        return {"type": "LoadAnnotations", "with_bbox": True}
    if kind_of(step) == "PackDetInputs" and needs_instances(config.data):
        return {**step, "meta_keys": (*(step.get("meta_keys") or TEST_META_KEYS), "instances")}
    return _of_frames(step, config)


def _how_it_is_read(step: Step) -> Step:
    """Return what the file asks of an image that is read (CenterNet's steps take float32 alone), and not from where."""
    return {key: step[key] for key in ("to_float32", "color_type", "imdecode_backend") if key in step}
