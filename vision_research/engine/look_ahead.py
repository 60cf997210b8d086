"""Tells loader workers which images come next, so that those in S3 are fetched ahead.

Importing this module registers `LookAheadBatchSampler`. The order of the images is that of the sampler inside; only the
time at which their bytes are asked for changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, get_worker_info

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.objects import prefetch_object
from vision_research.storage.s3.settings import S3Settings, default_settings


class AnnouncedBatch(list[int]):
    """The indices of one batch, which starts to fetch the images of later ones when a loader worker reads it.

    torch hands a worker nothing but lists of indices, and iterates over them; so a list is what has to carry the news.

    Attributes:
        coming: this batch and those that the same worker gets in its next turns.
        num_turns: how many of those there are, but at the end of an epoch.
        is_first: whether it is the first of its worker in an epoch.
        backend_args: of the storage back end that the images are read with.
    """

    coming: list[list[int]]
    num_turns: int
    is_first: bool
    backend_args: dict[str, Any]

    def __iter__(self) -> Iterator[int]:
        worker = get_worker_info()
        if worker is not None:
            _fetch_ahead(worker.dataset, self)
        return super().__iter__()


@DATA_SAMPLERS.register_module()
class LookAheadBatchSampler(BatchSampler):
    """Batches of the sampler's indices, each with the indices that the worker who gets it will get some turns later.

    torch deals batches out to workers in turn: with W workers, batch `k + W` goes to the worker of batch `k`.

        2 workers, 2 turns ahead:    batch 0: 0 2 4    batch 1: 1 3 5    batch 2: 2 4 6    batch 3: 3 5 7

    Args:
        sampler: of single indices.
        batch_size: indices in a batch.
        num_workers: of the loader.
        num_images: how many images ahead each worker fetches, at least; whole batches.
        backend_args: of the storage back end that the images are read with.
        drop_last: leave a last batch out that is not full.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        num_workers: int,
        num_images: int,
        backend_args: dict[str, Any],
        drop_last: bool = False,
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self._num_workers = num_workers
        self._num_turns = -(-num_images // batch_size)
        self._backend_args = dict(backend_args)

    def __iter__(self) -> Iterator[list[int]]:
        batches = super().__iter__()
        window = deque(islice(batches, self._num_turns * self._num_workers))
        number = 0
        while window:
            window.extend(islice(batches, 1))
            announced = AnnouncedBatch(window[0])
            announced.coming = list(window)[:: self._num_workers]
            announced.num_turns = self._num_turns
            announced.is_first = number < self._num_workers
            announced.backend_args = self._backend_args
            window.popleft()
            number += 1
            yield announced


_has_begun = False
# Whether all of the batch that was looked at last was in the cache.
_all_kept = False


def _fetch_ahead(dataset: Any, batch: AnnouncedBatch) -> None:
    """Announce what this worker was not told of before: the furthest turn, or all where it has just begun.

    While batch after batch is in the cache, one image of each is looked at in place of all: in a later epoch there is
    nothing to fetch, and naming every image would cost as much as reading it.
    """
    global _has_begun, _all_kept
    settings = _settings(tuple(batch.backend_args.items()))
    news = batch.coming if batch.is_first or not _has_begun else batch.coming[batch.num_turns :]
    _has_begun = True
    for first, *others in news:
        begun = _fetch(dataset, first, settings)
        if begun or not _all_kept:
            also_begun = [_fetch(dataset, index, settings) for index in others]
            _all_kept = not (begun or any(also_begun))


@cache
def _settings(backend_args: tuple[tuple[str, Any], ...]) -> S3Settings:
    return default_settings(**{key: value for key, value in backend_args if key != "backend"})


def _fetch(dataset: Any, index: int, settings: S3Settings) -> bool:
    """Begin to fetch an image, and tell whether there was anything to fetch."""
    path = dataset.get_data_info(index).get("img_path", "")
    return is_s3(path) and prefetch_object(path, settings)
