"""Divides a batch between the sources of images."""

from __future__ import annotations


def images_per_source(batch_size: int, source_ratio: list[int]) -> list[int]:
    """Return the number of images of each source, as MMDetection: rounded down, the remainder to the first source.

    Args:
        batch_size: images of the batch.
        source_ratio: relative number of images of each source.
    """
    counts = [int(batch_size * share / sum(source_ratio)) for share in source_ratio]
    return [batch_size - sum(counts[1:]), *counts[1:]]
