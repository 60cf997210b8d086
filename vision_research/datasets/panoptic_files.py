"""The files of COCO's panoptic annotations: a JSON file, and a folder of the same name with its maps."""

from __future__ import annotations

import json
from collections.abc import Iterable

from vision_research.config.schema import DataConfig

# Keys of the `data` group, by split.
MAP_KEYS = {"train": "train_panoptic", "val": "val_panoptic", "test": "test_panoptic"}


def panoptic_ann(data: DataConfig, split: str) -> str:
    """Return the panoptic JSON file of a split; if test has none, that of validation.

    Args:
        data: the `data` group.
        split: `train`, `val` or `test`.
    """
    ann: str | None = getattr(data, MAP_KEYS[data.split_with_files(split)]) or data.val_panoptic
    assert ann is not None, "the feed of maps asks for it beside data.train_panoptic"
    return ann


def map_folder(ann: str) -> str:
    """Return the folder of the maps of a panoptic JSON file."""
    return ann.removesuffix(".json")


def map_names(content: bytes) -> Iterable[str]:
    """Return the file names of the maps that a panoptic JSON file lists, relative to their folder."""
    return [annotation["file_name"] for annotation in json.loads(content)["annotations"]]
