"""The annotation formats by `data.kind`, the files of each split, and the configs of the data sets that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.schema import DataConfig, DataKind, StorageConfig, TrainConfig
from vision_research.datasets.annotation_format import AnnotationFormat, SplitFiles
from vision_research.datasets.coco.format import Coco, CocoVideos
from vision_research.datasets.voc.format import Voc

# Results are collected over the process group, on any device; "cpu" would need a folder that all machines share.
COLLECT_DEVICE = "gpu"
COCO = Coco()
FORMATS: dict[DataKind, AnnotationFormat] = {
    DataKind.voc: Voc(),
    DataKind.mot: CocoVideos("mot2coco.py"),
    DataKind.youtube_vis: CocoVideos("youtubevis2coco.py"),
}


def format_of(data: DataConfig) -> AnnotationFormat:
    """Return the format of the annotations of boxes; kinds that are not listed are plain COCO JSON."""
    return FORMATS.get(data.kind, COCO)


def split_files(data: DataConfig, split: str) -> SplitFiles:
    """Return the files of a split; without a test split, those of validation.

    Args:
        data: the `data` group.
        split: `train`, `val` or `test`.
    """
    name = data.split_with_files(split)
    files = (getattr(data, f"{name}_ann"), getattr(data, f"{name}_prefix"), data.img_prefix)
    return SplitFiles(name, *files, format_of(data), is_trained_on=name == "train")


def split_backend(config: TrainConfig, split: str) -> dict[str, Any] | None:
    """Return the `backend_args` for the images of a split.

    Args:
        config: the run.
        split: `train`, `val` or `test`.
    """
    return config.image_backend(split_files(config.data, split).images)


def all_split_files(data: DataConfig, splits: Sequence[str]) -> tuple[SplitFiles, ...]:
    """Return the files of several splits; a missing test split is left out.

    Args:
        data: the `data` group.
        splits: `train`, `val` or `test` each.
    """
    return tuple(split_files(data, split) for split in splits if data.split_with_files(split) == split)


def objects_come_with_samples(data: DataConfig) -> bool:
    """Tell whether the metric takes the objects from the samples and not from a COCO file.

    It also does for a shortened split, which must not be scored against the images that are left out.
    """
    return not format_of(data).has_coco_file or data.limit_val is not None


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
