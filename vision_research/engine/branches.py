"""Batches whose images go through branches of their own: those of a teacher and of its student."""

from __future__ import annotations

from typing import Any


def samples_of(data_batch: dict[str, Any]) -> list[Any]:
    """List the data samples of a batch.

    Args:
        data_batch: of MMDetection, `{"inputs": ..., "data_samples": [...]}`; with branches, a list for each, in which
            None stands for an image that does not go through it. An image that goes through several is told once.
    """
    samples = data_batch.get("data_samples", [])
    if not isinstance(samples, dict):
        return list(samples)
    return list({one.img_path: one for branch in samples.values() for one in branch if one is not None}.values())
