"""Lowers named augmentation steps to MMDetection pipelines, which begin with loading and end with packing."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import TrainConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import as_tuples, kind_of
from vision_research.datasets.formats import objects_come_with_samples, split_backend
from vision_research.lowering.tuples import restore_step
from vision_research.protocols import LoweringInputs, RunSpec
from vision_research.work_dir import WorkDir

# Transforms that combine several images: they run in a wrapper, and the steps before them in the data set.
MIXING = ("Mosaic", "MixUp", "CopyPaste")
TEST_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def train_pipeline(run: RunSpec, inputs: LoweringInputs, steps: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return a training pipeline.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
        steps: named steps; None uses `aug.train`. A step that is null is left out.
    """
    config = run.config
    named = config.aug.train if steps is None else steps
    body = [restore_step(step) for step in named.values() if step is not None]
    if _letterbox(config) and not any(step["type"] == "Pad" for step in body):
        body.append(_pad(config))
    read = run.fitted_step(_annotations(run.traits), "train")
    return run.fitted_pipeline([load_step(run, inputs), read, *body, {"type": "PackDetInputs"}])


def load_step(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the step that loads a training image, or skips one that does not decode.

    Args:
        run: the run.
        inputs: work_dir, for the list of skipped images.
    """
    return {
        "type": "LoadImageOrSkip",
        "backend_args": split_backend(run.config, "train"),
        "skipped_file": str(WorkDir(inputs.work_dir).skipped_images),
        "max_skipped": run.data.max_bad_images,
    }


def split_at_mixing(pipeline: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split a pipeline before its first transform that combines several images."""
    kinds = [kind_of(step) for step in pipeline]
    start = next((place for place, kind in enumerate(kinds) if kind in MIXING), len(pipeline))
    return pipeline[:start], pipeline[start:]


def final_pipeline(run: RunSpec, inputs: LoweringInputs) -> list[dict[str, Any]]:
    """Return the weak pipeline for the end of training.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
    """
    assert run.config.aug.final is not None
    return train_pipeline(run, inputs, run.config.aug.final)


def test_pipeline(run: RunSpec, split: str) -> list[dict[str, Any]]:
    """Return the pipeline of validation, test and export: resize keeping the ratio, and pad where the recipe does.

    Args:
        run: the run.
        split: `val` or `test`.
    """
    config = run.config
    if config.aug.test is not None:
        body = [restore_step(step) for step in config.aug.test.values() if step is not None]
    else:
        height, width = config.image_size
        body = [{"type": "Resize", "scale": (width, height), "keep_ratio": True}]
        body += [_pad(config)] if _letterbox(config) else []
    meta_keys = (*TEST_META_KEYS, "instances") if objects_come_with_samples(run.data) else TEST_META_KEYS
    steps = [
        {"type": "LoadImageOrSkip", "backend_args": split_backend(config, split), "skip": False},
        *body,
        run.fitted_step(_annotations(run.traits), split),
        {"type": "PackDetInputs", "meta_keys": meta_keys},
    ]
    return run.fitted_pipeline(steps)


def _letterbox(config: TrainConfig) -> bool:
    return bool((config.model.get("recipe") or {}).get("letterbox"))


def _pad(config: TrainConfig) -> dict[str, Any]:
    height, width = config.image_size
    return {"type": "Pad", "size": (width, height), "pad_val": as_tuples(config.model["recipe"]["pad_val"])}


def _annotations(traits: DetectorTraits) -> dict[str, Any]:
    return {"type": "LoadAnnotations", "with_bbox": True, **({"with_mask": True} if traits.has_masks else {})}
