"""Reads what MMEngine passes to a hook: the runner's detector, and the batches of MMDetection's loaders."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper


def detector_of(runner: Any) -> Any:
    """Return the detector of a runner without the wrapper for distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def data_samples(data_batch: Any) -> list[Any]:
    """List the data samples of a batch, one for each image.

    In a semi-supervised batch, `data_samples` holds a list for each branch (teacher and student), with None for an
    image that the branch does not use.
    """
    samples = data_batch.get("data_samples", []) if isinstance(data_batch, dict) else []
    if not isinstance(samples, dict):
        return list(samples)
    return list({one.img_path: one for branch in samples.values() for one in branch if one is not None}.values())


def num_images(data_batch: Any) -> int:
    """Count the images of a batch; an image that several branches use counts once."""
    inputs = data_batch.get("inputs", ()) if isinstance(data_batch, dict) else data_batch or ()
    return len(data_samples(data_batch)) if isinstance(inputs, dict) else len(inputs)
