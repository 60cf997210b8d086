"""Lowers panoptic data: maps that say of every pixel what it is, beside the boxes and masks of the things."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.storage import backend_args
from vision_research.config.schema import DataConfig, StorageConfig, TrainConfig
from vision_research.config.scoring import is_panoptic, learns_from_maps
from vision_research.config.splits import split_with_files


def trains_on_maps(config: TrainConfig) -> bool:
    """Tell whether the training reads the panoptic maps of the data."""
    return config.data.train_panoptic is not None and learns_from_maps(config.model)


def is_scored_on_maps(config: TrainConfig) -> bool:
    """Tell whether the detector is scored by panoptic quality."""
    return config.data.train_panoptic is not None and is_panoptic(config.model)


def map_step(config: TrainConfig) -> dict[str, Any]:
    """Return the step that loads boxes, masks and the map of classes."""
    assert config.data.train_panoptic is not None
    backend = backend_args(config.storage, join(config.data.root, config.data.train_panoptic))
    return {"type": "LoadPanopticMap", "with_bbox": True, "with_mask": True, "with_seg": True, "backend_args": backend}


def panoptic_dataset(dataset: dict[str, Any], ann: str, inputs: LoweringInputs) -> dict[str, Any]:
    """Return a data set of maps in the place of one of boxes.

    Args:
        dataset: the one of boxes.
        ann: the panoptic JSON, relative to the root of the data.
        inputs: names of things and stuff.
    """
    classes = {"classes": (*inputs.classes, *inputs.stuff), "thing_classes": inputs.classes}
    return {
        **dataset,
        "type": "CocoPanopticDataset",
        "ann_file": ann,
        "data_prefix": {**dataset["data_prefix"], "seg": f"{ann.removesuffix('.json')}/"},
        "metainfo": {**classes, "stuff_classes": inputs.stuff},
    }


def panoptic_metric(data: DataConfig, storage: StorageConfig, ann: str) -> dict[str, Any]:
    """Return the evaluator of panoptic quality."""
    file = join(absolute(data.root), ann)
    # Over the process group, on any device.
    return {
        "type": "PanopticQuality",
        "ann_file": file,
        "collect_device": "gpu",
        "backend_args": backend_args(storage, file),
    }


def panoptic_ann(data: DataConfig, split: str) -> str:
    """Return the panoptic JSON of validation or test; without a test split that of validation."""
    ann: str | None = getattr(data, f"{split_with_files(data, split)}_panoptic") or data.val_panoptic
    assert ann is not None, "validate() asks for it beside data.train_panoptic"
    return ann
