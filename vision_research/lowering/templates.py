"""Lowers the augmentation to a template of wrappers and pipelines, into which a task puts its data sets.

A template is built from the named steps of an `aug` option, between loading and packing, or taken from a zoo file
(`aug=zoo/...`). The template of a zoo file is unchanged with the file's own data; with other data its loading steps are
adapted.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from vision_research.config.dataset_tree import PLACE, pipelines
from vision_research.config.tree import as_tuples, kind_of
from vision_research.config.zoo_entries import zoo_excerpt
from vision_research.datasets.formats import objects_come_with_samples, split_backend
from vision_research.datasets.image_header import MAX_PIXELS
from vision_research.lowering.tuples import resized, restore_step
from vision_research.protocols import LoweringSpec, Step
from vision_research.work_dir import WorkDir

# Transforms that combine several images: they run in a wrapper, and the steps before them in the data set.
MIXING = ("Mosaic", "MixUp", "CopyPaste")
TEST_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def train_template(run: LoweringSpec) -> dict[str, Any]:
    """Return wrappers and pipelines of the training images."""
    if run.config.aug.recipe is not None:
        return _zoo_template(run, "train", lambda step: _train_step(step, run))
    pipeline = _train_pipeline(run, run.config.aug.train)
    kinds = [kind_of(step) for step in pipeline]
    start = next((place for place, kind in enumerate(kinds) if kind in MIXING), len(pipeline))
    template: dict[str, Any] = {PLACE: 0, "pipeline": pipeline[:start]}
    if start == len(pipeline):
        return template
    return {"type": "MultiImageMixDataset", "dataset": template, "pipeline": pipeline[start:]}


def test_template(run: LoweringSpec, split: str) -> dict[str, Any]:
    """Return wrappers and pipelines of validation or test images.

    Args:
        run: the run.
        split: `val` or `test`.
    """
    recipe = run.config.aug.recipe
    if recipe is not None and recipe.get(split):
        return _zoo_template(run, split, lambda step: _test_step(step, run, split))
    return {PLACE: 0, "pipeline": _test_pipeline(run, split)}


def final_pipeline(run: LoweringSpec) -> list[Step] | None:
    """Return the weak pipeline for the end of training, with loading and packing; None for a zoo file without one."""
    aug = run.config.aug
    if aug.recipe is None:
        assert aug.final is not None
        return _train_pipeline(run, aug.final)
    hooks = zoo_excerpt(aug.recipe)["hooks"]
    if "PipelineSwitchHook" in hooks:
        steps = resized(hooks["PipelineSwitchHook"]["switch_pipeline"], aug.image_size, run.config.image_size)
        return run.fitted_pipeline([_train_step(step, run) for step in steps])
    if "YOLOXModeSwitchHook" in hooks:
        skipped = hooks["YOLOXModeSwitchHook"].get("skip_type_keys", ("Mosaic", "RandomAffine", "MixUp"))
        mixed, *inner = pipelines(train_template(run))
        kept = [step for step in mixed if step["type"] not in skipped]
        return [*inner[0], *kept] if inner else kept
    return None


def _train_pipeline(run: LoweringSpec, named: dict[str, Any]) -> list[Step]:
    """Return a training pipeline with these steps, of which those that are null are left out."""
    body = [restore_step(step) for step in named.values() if step is not None]
    if not any(step["type"] == "Pad" for step in body):
        body += _padding(run)
    read = run.fitted_step(_annotations(run), "train")
    return run.fitted_pipeline([_load_step(run, "train"), read, *body, {"type": "PackDetInputs"}])


def _test_pipeline(run: LoweringSpec, split: str) -> list[Step]:
    """Return the pipeline of an evaluation or export: resize keeping the ratio, and pad where the recipe does."""
    config = run.config
    if config.aug.test is not None:
        body = [restore_step(step) for step in config.aug.test.values() if step is not None]
    else:
        height, width = config.image_size
        body = [{"type": "Resize", "scale": (width, height), "keep_ratio": True}, *_padding(run)]
    meta_keys = (*TEST_META_KEYS, "instances") if objects_come_with_samples(run.data) else TEST_META_KEYS
    read, pack = run.fitted_step(_annotations(run), split), {"type": "PackDetInputs", "meta_keys": meta_keys}
    return run.fitted_pipeline([_load_step(run, split), *body, read, pack])


def _load_step(run: LoweringSpec, split: str) -> Step:
    """Return the step that loads an image; in training it skips one that does not decode."""
    step: Step = {"type": "LoadImageOrSkip", "backend_args": split_backend(run.config, split)}
    if run.data.max_pixels != MAX_PIXELS:
        step["max_pixels"] = run.data.max_pixels
    if split != "train":
        return {**step, "skip": False}
    skipped_file = str(WorkDir(run.inputs.work_dir).skipped_images)
    return {**step, "skipped_file": skipped_file, "max_skipped": run.data.max_bad_images}


def _padding(run: LoweringSpec) -> list[Step]:
    recipe, (height, width) = run.config.model_recipe, run.config.image_size
    pad = {"type": "Pad", "size": (width, height), "pad_val": as_tuples(recipe.get("pad_val"))}
    return [pad] if recipe.get("letterbox") else []


def _annotations(run: LoweringSpec) -> Step:
    return {"type": "LoadAnnotations", "with_bbox": True, **({"with_mask": True} if run.traits.has_masks else {})}


def _zoo_template(run: LoweringSpec, split: str, fit: Callable[[Step], Step]) -> dict[str, Any]:
    aug = run.config.aug
    template: dict[str, Any] = resized(zoo_excerpt(aug.recipe)[split], aug.image_size, run.config.image_size)
    for pipeline in pipelines(template):
        pipeline[:] = run.fitted_pipeline([fit(step) for step in pipeline])
    return template


def _train_step(step: Step, run: LoweringSpec) -> Step:
    if run.data.uses_zoo_file:
        return step
    if kind_of(step) == "LoadImageFromFile":
        return {**_decoding_options(step), **_load_step(run, "train")}
    fitted = run.fitted_step(step, "train")
    return _with_masks(fitted, run) if kind_of(fitted) == "LoadAnnotations" else fitted


def _with_masks(step: Step, run: LoweringSpec) -> Step:
    changed = deepcopy(step)
    if run.traits.has_masks:
        changed["with_mask"] = True
    if changed.get("with_mask") and run.inputs.masks == "rle" and changed.get("poly2mask") is False:
        # With poly2mask=False MMDetection ignores every object whose mask is run lengths.
        changed["poly2mask"] = True
    return changed


def _test_step(step: Step, run: LoweringSpec, split: str) -> Step:
    if run.data.uses_zoo_file:
        return step
    if kind_of(step) == "LoadImageFromFile":
        return {**_decoding_options(step), **_load_step(run, split)}
    if kind_of(step) == "PackDetInputs" and objects_come_with_samples(run.data):
        return {**step, "meta_keys": (*(step.get("meta_keys") or TEST_META_KEYS), "instances")}
    return run.fitted_step(step, split)


def _decoding_options(step: Step) -> Step:
    """Return the options of a loading step that concern decoding (CenterNet's transforms need float32)."""
    return {key: step[key] for key in ("to_float32", "color_type", "imdecode_backend") if key in step}
