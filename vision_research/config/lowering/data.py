"""Lowers the data: data sets with their wrappers, loaders, samplers and the evaluator."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.pipelines import needs_instances, test_pipeline, train_pipeline
from vision_research.config.lowering.storage import backend_args
from vision_research.config.schema import DataKind, TrainConfig


def lower_data(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the loaders and evaluators of training, validation and test."""
    data = config.data
    splits: dict[str, Any] = {"train_dataloader": _train_loader(config, inputs)}
    test_ann = data.test_ann or data.val_ann
    test_prefix = data.test_prefix if data.test_ann else data.val_prefix
    for split, ann, prefix in (("val", data.val_ann, data.val_prefix), ("test", test_ann, test_prefix)):
        limit = data.limit_val if split == "val" else None
        dataset = _dataset(config, inputs, ann, prefix, limit)
        dataset |= {"test_mode": True, "pipeline": test_pipeline(config)}
        splits[f"{split}_dataloader"] = {
            **_loader(config, inputs, data.val_batch_size),
            "drop_last": False,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": dataset,
        }
        splits[f"{split}_evaluator"] = _evaluator(config, ann)
    return splits


def _train_loader(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    data = config.data
    dataset = _dataset(config, inputs, data.train_ann, data.train_prefix, data.limit_train)
    dataset |= {
        "filter_cfg": {"filter_empty_gt": not data.keep_empty, "min_size": 1},
        "pipeline": train_pipeline(config, inputs),
    }
    if data.oversample_thr is not None:
        dataset = {"type": "ClassBalancedDataset", "oversample_thr": data.oversample_thr, "dataset": dataset}
    if data.repeat > 1:
        dataset = {"type": "RepeatDataset", "times": data.repeat, "dataset": dataset}
    sampler = "InfiniteSampler" if config.schedule.max_iters is not None else "DefaultSampler"
    return {
        **_loader(config, inputs, data.batch_size),
        "sampler": {"type": sampler, "shuffle": True},
        "dataset": dataset,
    }


def _loader(config: TrainConfig, inputs: LoweringInputs, batch_size: int) -> dict[str, Any]:
    data = config.data
    return {
        "batch_size": batch_size,
        "num_workers": data.num_workers,
        "persistent_workers": data.persistent_workers and data.num_workers > 0,
        "pin_memory": inputs.on_gpu,
    }


def _dataset(
    config: TrainConfig, inputs: LoweringInputs, ann: str, prefix: str | None, limit: int | None
) -> dict[str, Any]:
    data = config.data
    root = absolute(data.root)
    images = data.img_prefix if prefix is None else prefix
    dataset: dict[str, Any] = {
        "type": "CocoDataset",
        "data_root": root,
        "ann_file": ann,
        "data_prefix": {"img": images},
        "metainfo": {"classes": inputs.classes},
        "backend_args": backend_args(config.storage, join(root, ann)),
    }
    if data.kind is DataKind.voc:
        # It looks for <data_root>/<sub_data_root>/{JPEGImages,Annotations}; ours is the VOC folder itself.
        dataset |= {
            "type": "VOCFolderDataset",
            "data_prefix": {"sub_data_root": ""},
            "img_subdir": images.rstrip("/"),
            "ann_subdir": "Annotations",
        }
    if limit is not None:
        dataset["indices"] = limit
    return dataset


def _evaluator(config: TrainConfig, ann: str) -> dict[str, Any]:
    with_mask = bool((config.model.get("recipe") or {}).get("with_mask"))
    file = join(absolute(config.data.root), ann)
    return {
        "type": "CocoDetectionMetric",
        "ann_file": None if needs_instances(config) else file,
        "metric": ["bbox", "segm"] if with_mask else "bbox",
        "classwise": True,
        "format_only": False,
        # Over the process group, on any device; "cpu" would need a folder that all machines share.
        "collect_device": "gpu",
        "backend_args": backend_args(config.storage, file),
    }
