"""Resumes a data loader in the middle of an epoch without loading the batches before.

The order of MMEngine's and MMDetection's samplers depends on seed and epoch only, so the number of batches done is the
whole position. Batches are skipped as lists of indices in the batch sampler, before a worker gets them, so that batch
samplers that reorder images (`AspectRatioBatchSampler`) give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader


class _SkipOnce:
    """A batch sampler that leaves out its first `num_batches` the first time that it is iterated.

    A data loader with persistent workers keeps its sampler, so later epochs use this object too. It also calls `iter()`
    twice before it takes the first batch; as a generator, `__iter__` resets the count only when a batch is taken.
    """

    def __init__(self, batch_sampler: Any, num_batches: int) -> None:
        self._batch_sampler = batch_sampler
        self._num_batches = num_batches

    def __iter__(self) -> Iterator[Any]:
        skip, self._num_batches = self._num_batches, 0
        yield from islice(iter(self._batch_sampler), skip, None)

    def __len__(self) -> int:
        return len(self._batch_sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch_sampler, name)


def base_sampler(dataloader: DataLoader[Any]) -> Any:
    """Return the sampler that orders the images: that of a custom batch sampler, or else the loader's own."""
    inner = getattr(dataloader.batch_sampler, "sampler", None)
    return dataloader.sampler if inner is None else inner


def rewind(dataloader: DataLoader[Any]) -> None:
    """Reset samplers that remember how far they were read to their first index.

    `InfiniteSampler` returns one shared generator, which prefetching workers have already read from and which is closed
    together with the iterator that read it. `AspectRatioBatchSampler` keeps half-filled batches between epochs.
    """
    sampler = base_sampler(dataloader)
    if hasattr(sampler, "indices") and hasattr(sampler, "_indices_of_rank"):
        sampler.indices = sampler._indices_of_rank()
    batch_sampler: Any = dataloader.batch_sampler
    if hasattr(batch_sampler, "_aspect_ratio_buckets"):
        batch_sampler._aspect_ratio_buckets = [[], []]


def iterate_from(dataloader: DataLoader[Any], num_done: int) -> Iterator[Any]:
    """Iterate over a data loader from batch `num_done` on, without loading those before.

    Args:
        dataloader: its sampler must already be set to the right epoch.
        num_done: number of batches to skip.

    Returns:
        The loader's own iterator, whose workers are started.
    """
    name = "sampler" if dataloader.batch_sampler is None else "batch_sampler"
    original = getattr(dataloader, name)
    # DataLoader refuses to have its sampler replaced (`DataLoader.__setattr__`), though only `iter()` reads it.
    object.__setattr__(dataloader, name, _SkipOnce(original, num_done))
    try:
        return iter(dataloader)
    finally:
        object.__setattr__(dataloader, name, original)


class BatchStream:
    """Endless batches of a data loader from batch `num_done` on; the workers start at the first `next`.

    Replaces the iterator of MMEngine's `IterBasedTrainLoop`, which starts at batch 0 and loads everything up to
    `num_done`.

    Args:
        dataloader: with an infinite sampler, or a finite one that is started over with the next epoch.
        num_done: number of batches that the training has had.
        num_ignored: how many of the first `next` calls do nothing: MMEngine 0.10.7's loop calls `next` that often to
            advance its iterator after a resume.
    """

    def __init__(self, dataloader: DataLoader[Any], num_done: int, num_ignored: int = 0) -> None:
        self._dataloader = dataloader
        self._num_done = num_done
        self._num_ignored = num_ignored
        self._iterator: Iterator[Any] | None = None
        self._epoch = 0

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Any:
        if self._num_ignored:
            self._num_ignored -= 1
            return None
        if self._iterator is None:
            self._iterator = self._start()
        try:
            return next(self._iterator)
        except StopIteration:
            self._epoch += 1
            base_sampler(self._dataloader).set_epoch(self._epoch)
            self._iterator = iter(self._dataloader)
            return next(self._iterator)

    def restart(self, num_done: int) -> None:
        """Continue at batch `num_done` with new workers, which copy the data set as it is then."""
        self._num_done = num_done
        self._iterator = None

    def skip_iter(self, num_iters: int) -> None:
        """Advance by nothing: onedl-mmengine's loop calls this after a resume, and the stream is there already."""
        self._num_ignored = 0

    def _start(self) -> Iterator[Any]:
        self._dataloader._iterator = None  # else persistent workers would continue where they are
        rewind(self._dataloader)
        sampler = base_sampler(self._dataloader)
        skip = self._num_done
        if not hasattr(sampler, "_indices_of_rank"):
            self._epoch, skip = divmod(self._num_done, len(self._dataloader))
            sampler.set_epoch(self._epoch)
        # The loader draws the base seed of its workers from the global generator; the random numbers of the training
        # must not depend on how often a stream was started.
        with torch.random.fork_rng(devices=[]):
            return iterate_from(self._dataloader, skip)
