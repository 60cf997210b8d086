"""Maps a requested split to the split whose files are read."""

from __future__ import annotations

from vision_research.config.schema import DataConfig

SPLITS = ("train", "val", "test")


def split_with_files(data: DataConfig, split: str) -> str:
    """Return the split whose files are read: `val` for `test` where the data has no test split, else the split itself.

    Args:
        data: the `data` group.
        split: `train`, `val` or `test`.
    """
    return "val" if split == "test" and data.test_ann is None else split
