"""Lowers the augmentation to a template of wrappers and pipelines, into which a task puts its data sets.

A template is built from the steps of an `aug` option, or taken from a zoo file (`aug=zoo/...`). The template of a zoo
file is unchanged with the file's own data; with other data its loading steps are adapted.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from vision_research.config.dataset_tree import PLACE, pipelines
from vision_research.config.tree import kind_of
from vision_research.config.zoo_excerpt import zoo_excerpt
from vision_research.datasets.formats import objects_come_with_samples, split_backend
from vision_research.lowering.pipelines import (
    TEST_META_KEYS,
    load_step,
    split_at_mixing,
    test_pipeline,
    train_pipeline,
)
from vision_research.lowering.sizes import resized
from vision_research.protocols import LoweringInputs, RunSpec

Step = dict[str, Any]


def train_template(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Return wrappers and pipelines of the training images.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
    """
    if run.config.aug.recipe is not None:
        return _zoo_template(run, "train", lambda step: _train_step(step, run, inputs))
    own, mixed = split_at_mixing(train_pipeline(run, inputs))
    template: dict[str, Any] = {PLACE: 0, "pipeline": own}
    return {"type": "MultiImageMixDataset", "dataset": template, "pipeline": mixed} if mixed else template


def test_template(run: RunSpec, split: str) -> dict[str, Any]:
    """Return wrappers and pipelines of validation or test images.

    Args:
        run: the run.
        split: `val` or `test`.
    """
    recipe = run.config.aug.recipe
    if recipe is not None and recipe.get(split):
        return _zoo_template(run, split, lambda step: _test_step(step, run, split))
    return {PLACE: 0, "pipeline": test_pipeline(run, split)}


def final_recipe_pipeline(run: RunSpec, inputs: LoweringInputs) -> list[Step] | None:
    """Return the weak pipeline of a zoo file for the end of training, with loading and packing; None without one.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
    """
    aug = run.config.aug
    assert aug.recipe is not None
    hooks = zoo_excerpt(aug.recipe)["hooks"]
    if "PipelineSwitchHook" in hooks:
        steps = resized(hooks["PipelineSwitchHook"]["switch_pipeline"], aug.image_size, run.config.image_size)
        return run.fitted_pipeline([_train_step(step, run, inputs) for step in steps])
    if "YOLOXModeSwitchHook" in hooks:
        skipped = hooks["YOLOXModeSwitchHook"].get("skip_type_keys", ("Mosaic", "RandomAffine", "MixUp"))
        mixed, *inner = pipelines(train_template(run, inputs))
        kept = [step for step in mixed if step["type"] not in skipped]
        return [*inner[0], *kept] if inner else kept
    return None


def _zoo_template(run: RunSpec, split: str, fit: Callable[[Step], Step]) -> dict[str, Any]:
    aug = run.config.aug
    assert aug.recipe is not None
    template: dict[str, Any] = resized(zoo_excerpt(aug.recipe)[split], aug.image_size, run.config.image_size)
    for pipeline in pipelines(template):
        pipeline[:] = run.fitted_pipeline([fit(step) for step in pipeline])
    return template


def _train_step(step: Step, run: RunSpec, inputs: LoweringInputs) -> Step:
    if run.data.uses_zoo_file:
        return step
    if kind_of(step) == "LoadImageFromFile":
        return {**_decoding_options(step), **load_step(run, inputs)}
    fitted = run.fitted_step(step, "train")
    return _with_masks(fitted, run, inputs) if kind_of(fitted) == "LoadAnnotations" else fitted


def _with_masks(step: Step, run: RunSpec, inputs: LoweringInputs) -> Step:
    changed = deepcopy(step)
    if run.traits.has_masks:
        changed["with_mask"] = True
    if changed.get("with_mask") and inputs.masks == "rle" and changed.get("poly2mask") is False:
        # With poly2mask=False MMDetection ignores every object whose mask is run lengths.
        changed["poly2mask"] = True
    return changed


def _test_step(step: Step, run: RunSpec, split: str) -> Step:
    if run.data.uses_zoo_file:
        return step
    if kind_of(step) == "LoadImageFromFile":
        own = {"type": "LoadImageOrSkip", "backend_args": split_backend(run.config, split), "skip": False}
        return {**_decoding_options(step), **own}
    if kind_of(step) == "PackDetInputs" and objects_come_with_samples(run.data):
        return {**step, "meta_keys": (*(step.get("meta_keys") or TEST_META_KEYS), "instances")}
    return run.fitted_step(step, split)


def _decoding_options(step: Step) -> Step:
    """Return the options of a loading step that concern decoding (CenterNet's transforms need float32)."""
    return {key: step[key] for key in ("to_float32", "color_type", "imdecode_backend") if key in step}
