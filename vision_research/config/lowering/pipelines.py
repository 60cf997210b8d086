"""Lowers augmentation: named steps become MMDetection pipelines, with loading before and packing behind them."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import join
from vision_research.config.dataset_tree import kind_of
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.language import packing_text
from vision_research.config.lowering.panoptic import is_scored_on_maps, map_step, trains_on_maps
from vision_research.config.lowering.storage import backend_args
from vision_research.config.lowering.tuples import as_tuple, restore_step
from vision_research.config.recipe import has_masks
from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.work_dir import WorkDir

# Transforms that take further images from the data set: they run in its wrapper, what is before them in the data set.
MIXING = ("Mosaic", "MixUp", "CopyPaste")
TEST_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def train_pipeline(
    config: TrainConfig, inputs: LoweringInputs, steps: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return a training pipeline.

    Args:
        config: the run.
        inputs: facts about the run.
        steps: named steps; `aug.train` if None. A step that is null was removed by the person.
    """
    named = config.aug.train if steps is None else steps
    body = [restore_step(step) for step in named.values() if step is not None]
    if _letterbox(config) and not any(step["type"] == "Pad" for step in body):
        body.append(_pad(config))
    read = map_step(config) if trains_on_maps(config) else _annotations(config)
    return packing_text([load_step(config, inputs), read, *body, {"type": "PackDetInputs"}], config.model)


def load_step(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the step that reads a training image, or passes over one that does not decode."""
    return {
        "type": "LoadImageOrSkip",
        "backend_args": image_backend(config, config.data.train_prefix),
        "skipped_file": str(WorkDir(inputs.work_dir).skipped_images),
        "max_skipped": config.data.max_bad_images,
    }


def split_at_mixing(pipeline: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Part a pipeline into what each image goes through by itself, and what begins with the mixing of several."""
    kinds = [kind_of(step) for step in pipeline]
    start = next((place for place, kind in enumerate(kinds) if kind in MIXING), len(pipeline))
    return pipeline[:start], pipeline[start:]


def final_pipeline(config: TrainConfig, inputs: LoweringInputs) -> list[dict[str, Any]]:
    """Return the weak pipeline for the end of training."""
    assert config.aug.final is not None
    return train_pipeline(config, inputs, config.aug.final)


def test_pipeline(config: TrainConfig) -> list[dict[str, Any]]:
    """Return the pipeline of validation, test and export: keep the ratio, and pad where the recipe does."""
    if config.aug.test is not None:
        body = [restore_step(step) for step in config.aug.test.values() if step is not None]
    else:
        height, width = config.image_size
        body = [{"type": "Resize", "scale": (width, height), "keep_ratio": True}]
        body += [_pad(config)] if _letterbox(config) else []
    meta_keys = (*TEST_META_KEYS, "instances") if needs_instances(config.data) else TEST_META_KEYS
    steps = [
        {"type": "LoadImageOrSkip", "backend_args": image_backend(config, config.data.val_prefix), "skip": False},
        *body,
        # Panoptic quality reads its maps by itself.
        {"type": "LoadAnnotations", "with_bbox": True} if is_scored_on_maps(config) else _annotations(config),
        {"type": "PackDetInputs", "meta_keys": meta_keys},
    ]
    return packing_text(steps, config.model)


def needs_instances(data: DataConfig) -> bool:
    """Tell whether the metric reads its ground truth from the samples and not from a COCO file.

    Pascal VOC has no COCO file, and a shortened split must not be scored against the images it leaves out.
    """
    return data.kind is DataKind.voc or data.limit_val is not None


def image_backend(config: TrainConfig, prefix: str | None) -> dict[str, Any] | None:
    """Return the back end that the images of a split are read with; None is the local one.

    Args:
        config: the run.
        prefix: folder of the split's own images, or None.
    """
    images = config.data.img_prefix if prefix is None else prefix
    return backend_args(config.storage, join(config.data.root, images))


def _letterbox(config: TrainConfig) -> bool:
    return bool((config.model.get("recipe") or {}).get("letterbox"))


def _pad(config: TrainConfig) -> dict[str, Any]:
    height, width = config.image_size
    return {"type": "Pad", "size": (width, height), "pad_val": as_tuple(config.model["recipe"]["pad_val"])}


def _annotations(config: TrainConfig) -> dict[str, Any]:
    with_mask = has_masks(config.model)
    return {"type": "LoadAnnotations", "with_bbox": True, **({"with_mask": True} if with_mask else {})}
