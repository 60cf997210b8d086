"""Parts of loaders that several tasks use."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import DataConfig
from vision_research.protocols import LoweringRun, RunConfig


def plain_loader(run: LoweringRun, batch_size: int, images: str | None) -> dict[str, Any]:
    """Return a loader without its sampler and its data set.

    Args:
        run: the run.
        batch_size: images per rank and iteration.
        images: folder of the images, which are prefetched if it is in S3; None disables prefetching, for samples that
            are not one image of a known index.
    """
    data = run.data
    return {
        **({} if images is None else _prefetching(run, images)),
        "batch_size": batch_size,
        "num_workers": data.num_workers,
        "persistent_workers": data.persistent_workers and data.num_workers > 0,
        "pin_memory": run.inputs.on_gpu,
    }


def _prefetching(run: RunConfig, images: str) -> dict[str, Any]:
    backend, num_images = run.config.image_backend(images), run.config.storage.prefetch
    if backend is None or num_images == 0 or run.data.num_workers == 0:
        return {}
    fetching = {"num_workers": run.data.num_workers, "num_images": num_images, "backend_args": backend}
    return {"batch_sampler": {"type": "LookAheadBatchSampler", **fetching}}


def shuffled(run: RunConfig) -> dict[str, Any]:
    """Return the sampler of training images; it is infinite if the length is in iterations."""
    return {"type": "DefaultSampler" if run.config.schedule.by_epoch else "InfiniteSampler", "shuffle": True}


def repeated(dataset: dict[str, Any], data: DataConfig, several: bool) -> dict[str, Any]:
    """Repeat a training data set by `data.repeat` and `data.oversample_thr`.

    Args:
        dataset: with its pipelines.
        data: the `data` group.
        several: whether it is a concatenation, of which only the first data set is repeated.
    """
    if several:
        first, *others = dataset["datasets"]
        return {**dataset, "datasets": [_repeated(first, data), *others]}
    if dataset["type"] == "MultiImageMixDataset":
        # The wrapper draws the images to mix from the repeated data set.
        return {**dataset, "dataset": _repeated(dataset["dataset"], data)}
    return _repeated(dataset, data)


def _repeated(dataset: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    if data.oversample_thr is not None:
        dataset = {"type": "ClassBalancedDataset", "oversample_thr": data.oversample_thr, "dataset": dataset}
    if data.repeat > 1:
        dataset = {"type": "RepeatDataset", "times": data.repeat, "dataset": dataset}
    return dataset
