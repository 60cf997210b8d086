"""The annotation formats by `data.kind`, and the files of each split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.datasets.annotation_format import AnnotationFormat, SplitFiles
from vision_research.datasets.coco.format import Coco, CocoVideos
from vision_research.datasets.voc.format import Voc

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
