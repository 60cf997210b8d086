"""Which split's files stand for a split that is asked for."""

from __future__ import annotations

from vision_research.config.schema import DataConfig


def split_with_files(data: DataConfig, split: str) -> str:
    """Return the split whose files are read for one: `val` for a `test` that the data does not have, else itself.

    Args:
        data: where the files lie.
        split: `train`, `val` or `test`.
    """
    return "val" if split == "test" and data.test_ann is None else split
