"""Lowers the data: data sets with their wrappers, loaders, samplers and the evaluator."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.dataset_tree import join as join_frame
from vision_research.config.lowering.frames import test_frame, train_frame
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.language import with_text
from vision_research.config.lowering.panoptic import (
    is_scored_on_maps,
    panoptic_ann,
    panoptic_dataset,
    panoptic_metric,
    trains_on_maps,
)
from vision_research.config.lowering.pipelines import image_backend, needs_instances
from vision_research.config.lowering.proposals import proposal_dataset, takes_proposals
from vision_research.config.lowering.recipe_data import lower_recipe_data
from vision_research.config.lowering.reid import METRIC as REID_METRIC
from vision_research.config.lowering.reid import REID_KINDS, reid_dataset
from vision_research.config.lowering.semi_supervised import join_sources, source_sampler
from vision_research.config.lowering.storage import backend_args
from vision_research.config.lowering.tracks import gives_tracks, video_dataset, video_metric, video_sampler
from vision_research.config.recipe import has_masks
from vision_research.config.schema import DataConfig, DataKind, StorageConfig, TrainConfig
from vision_research.config.scoring import is_class_agnostic, is_semi_supervised
from vision_research.config.splits import split_with_files


def lower_data(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the loaders and evaluators of training, validation and test."""
    data = config.data
    if data.recipe is not None:
        return lower_recipe_data(config, inputs)
    if data.kind in REID_KINDS:
        return _reid_data(config, inputs)
    splits: dict[str, Any] = {"train_dataloader": _train_loader(config, inputs)}
    masked = has_masks(config.model)
    boxes_and_masks = ["bbox", "segm"] if masked else "bbox"
    scores = "proposal" if is_class_agnostic(config.model) else boxes_and_masks
    for split in ("val", "test"):
        dataset = with_text(evaluation_dataset(data, config.storage, inputs.classes, split), config.model)
        if takes_proposals(config.model):
            dataset = proposal_dataset(dataset, data, config.storage, split)
        frame = test_frame(config, split)
        if tracked := gives_tracks(frame):
            dataset = video_dataset(dataset, masked)
        if mapped := is_scored_on_maps(config):
            dataset = panoptic_dataset(dataset, panoptic_ann(data, split), inputs)
        splits[f"{split}_dataloader"] = {
            # A tracker sees one frame after the other.
            **_loader(config, inputs, 1 if tracked else data.val_batch_size, _prefix(data, split), tracked),
            "drop_last": False,
            "sampler": video_sampler(masked, False) if tracked else {"type": "DefaultSampler", "shuffle": False},
            "dataset": join_frame(frame, [dataset]),
        }
        scored = evaluation_metric(data, config.storage, split, scores)
        if mapped:
            scored = panoptic_metric(data, config.storage, panoptic_ann(data, split))
        splits[f"{split}_evaluator"] = video_metric(masked) if tracked else scored
    return splits


def _reid_data(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return loaders and evaluators of crops with identities; what is drawn for a step is drawn by the data set."""
    sampler = "InfiniteSampler" if config.schedule.max_iters is not None else "DefaultSampler"
    splits: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        training = split == "train"
        frame = train_frame(config, inputs) if training else test_frame(config, split)
        splits[f"{split}_dataloader"] = {
            # The crops of a draw are not known by the number of the sample.
            **_loader(config, inputs, config.data.batch_size if training else config.data.val_batch_size, None, True),
            "sampler": {"type": sampler if training else "DefaultSampler", "shuffle": training},
            "dataset": join_frame(frame, [reid_dataset(config, inputs.classes, split)]),
        }
        if not training:
            splits[f"{split}_evaluator"] = {**REID_METRIC, "collect_device": "gpu"}
    return splits


def evaluation_dataset(
    data: DataConfig, storage: StorageConfig, classes: tuple[str, ...], split: str
) -> dict[str, Any]:
    """Return the data set of a split, without its pipeline.

    Args:
        data: where it lies.
        storage: how S3 is reached.
        classes: names, in the order of the labels.
        split: `val` or `test`; without a test split that is the validation split.
    """
    limit = data.limit_val if split == "val" else None
    dataset = _dataset(data, storage, classes, _ann_file(data, split), _prefix(data, split), limit)
    return {**dataset, "test_mode": True}


def evaluation_metric(data: DataConfig, storage: StorageConfig, split: str, scores: str | list[str]) -> dict[str, Any]:
    """Return the evaluator of a split.

    Args:
        data: where it lies.
        storage: how S3 is reached.
        split: `val` or `test`.
        scores: `bbox`, [`bbox`, `segm`] where masks are scored beside boxes, or `proposal` for boxes of no class.
    """
    file = join(absolute(data.root), _ann_file(data, split))
    return {
        "type": "CocoDetectionMetric",
        "ann_file": None if needs_instances(data) else file,
        "metric": scores,
        "classwise": True,
        "format_only": False,
        # Over the process group, on any device; "cpu" would need a folder that all machines share.
        "collect_device": "gpu",
        "backend_args": backend_args(storage, file),
    }


def _ann_file(data: DataConfig, split: str) -> str:
    return str(getattr(data, f"{split_with_files(data, split)}_ann"))


def _prefix(data: DataConfig, split: str) -> str | None:
    own: str | None = getattr(data, f"{split_with_files(data, split)}_prefix")
    return own


def _train_loader(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    data = config.data
    dataset = _dataset(data, config.storage, inputs.classes, data.train_ann, data.train_prefix, data.limit_train)
    dataset |= {"filter_cfg": {"filter_empty_gt": not data.keep_empty, "min_size": 1}}
    dataset = with_text(dataset, config.model)
    if takes_proposals(config.model):
        dataset = proposal_dataset(dataset, data, config.storage, "train")
    if trains_on_maps(config):
        assert data.train_panoptic is not None
        dataset = panoptic_dataset(dataset, data.train_panoptic, inputs)
    frame = train_frame(config, inputs)
    if tracked := gives_tracks(frame):
        dataset = video_dataset(dataset, has_masks(config.model))
    if is_semi_supervised(config.model):
        framed = join_sources(config, frame, dataset, inputs.classes)
        framed["datasets"][0] = _repeated(framed["datasets"][0], data)
        loader = _loader(config, inputs, data.batch_size, data.train_prefix)
        return {**loader, "sampler": source_sampler(config), "dataset": framed}
    framed = join_frame(frame, [dataset])
    if framed["type"] == "MultiImageMixDataset":
        # What is mixed is drawn from the repeated images.
        framed["dataset"] = _repeated(framed["dataset"], data)
    else:
        framed = _repeated(framed, data)
    sampler = "InfiniteSampler" if config.schedule.max_iters is not None else "DefaultSampler"
    return {
        **_loader(config, inputs, data.batch_size, data.train_prefix, tracked),
        "sampler": video_sampler(has_masks(config.model), True) if tracked else {"type": sampler, "shuffle": True},
        "dataset": framed,
    }


def _repeated(dataset: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    if data.oversample_thr is not None:
        dataset = {"type": "ClassBalancedDataset", "oversample_thr": data.oversample_thr, "dataset": dataset}
    if data.repeat > 1:
        dataset = {"type": "RepeatDataset", "times": data.repeat, "dataset": dataset}
    return dataset


def _loader(
    config: TrainConfig, inputs: LoweringInputs, batch_size: int, prefix: str | None, tracked: bool = False
) -> dict[str, Any]:
    data = config.data
    return {
        # The sampler of frames names them by video and number, which looking ahead does not know.
        **({} if tracked else _look_ahead(config, prefix)),
        "batch_size": batch_size,
        "num_workers": data.num_workers,
        "persistent_workers": data.persistent_workers and data.num_workers > 0,
        "pin_memory": inputs.on_gpu,
    }


def _look_ahead(config: TrainConfig, prefix: str | None) -> dict[str, Any]:
    backend = image_backend(config, prefix)
    if backend is None or config.storage.prefetch == 0 or config.data.num_workers == 0:
        return {}
    announced = {"num_workers": config.data.num_workers, "num_images": config.storage.prefetch}
    return {"batch_sampler": {"type": "LookAheadBatchSampler", **announced, "backend_args": backend}}


def _dataset(
    data: DataConfig, storage: StorageConfig, classes: tuple[str, ...], ann: str, prefix: str | None, limit: int | None
) -> dict[str, Any]:
    root = absolute(data.root)
    images = data.img_prefix if prefix is None else prefix
    dataset: dict[str, Any] = {
        "type": "CocoDataset",
        "data_root": root,
        "ann_file": ann,
        "data_prefix": {"img": images},
        "metainfo": {"classes": classes},
        "backend_args": backend_args(storage, join(root, ann)),
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
