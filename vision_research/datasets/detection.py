"""Configs of the data sets of images with objects, and of the COCO metric that scores boxes and masks."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.schema import DataConfig, StorageConfig
from vision_research.datasets.formats import format_of, objects_come_with_samples, split_files

# Results are collected over the process group, on any device; "cpu" would need a folder that all machines share.
COLLECT_DEVICE = "gpu"


def detection_dataset(data: DataConfig, storage: StorageConfig, classes: tuple[str, ...], split: str) -> dict[str, Any]:
    """Return the config of the data set of a split, without its pipeline.

    Args:
        data: the `data` group.
        storage: the `storage` group.
        classes: names, in the order of the labels.
        split: `train`, `val` or `test`; without a test split that is the validation split.
    """
    files, root = split_files(data, split), absolute(data.root)
    limit = {"train": data.limit_train, "val": data.limit_val}.get(split)
    training = {"filter_cfg": {"filter_empty_gt": not data.keep_empty, "min_size": 1}}
    return {
        **format_of(data).dataset(files.images),
        "data_root": root,
        "ann_file": files.ann,
        "metainfo": {"classes": classes},
        "backend_args": storage.backend_args(join(root, files.ann)),
        **({} if limit is None else {"indices": limit}),
        **(training if split == "train" else {"test_mode": True}),
    }


def detection_metric(data: DataConfig, storage: StorageConfig, split: str, scores: str | list[str]) -> dict[str, Any]:
    """Return the config of the COCO metric of a split.

    Args:
        data: the `data` group.
        storage: the `storage` group.
        split: `val` or `test`.
        scores: `bbox`, [`bbox`, `segm`] where masks are scored beside boxes, or `proposal` for boxes of no class.
    """
    file = join(absolute(data.root), split_files(data, split).ann)
    return {
        "type": "CocoDetectionMetric",
        "ann_file": None if objects_come_with_samples(data) else file,
        "metric": scores,
        "classwise": True,
        "format_only": False,
        "collect_device": COLLECT_DEVICE,
        "backend_args": storage.backend_args(file),
    }
