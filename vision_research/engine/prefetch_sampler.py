"""A batch sampler that tells loader workers which images come next, so that they fetch those from S3 in advance.

Importing this module registers `LookAheadBatchSampler`. It does not change the order of the images.
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


class PrefetchingBatch(list[int]):
    """The indices of one batch; iterating over it in a loader worker starts to fetch the images of later batches.

    torch sends a worker only the list of indices of a batch, so the list has to carry the indices of later batches.

    Attributes:
        upcoming: this batch and those that the same worker loads in its next turns.
        num_turns: how many turns ahead that is; there are fewer at the end of an epoch.
        is_first: whether it is the first batch of its worker in an epoch.
        backend_args: arguments of the storage back end that reads the images.
    """

    upcoming: list[list[int]]
    num_turns: int
    is_first: bool
    backend_args: dict[str, Any]

    def __iter__(self) -> Iterator[int]:
        worker = get_worker_info()
        if worker is not None:
            _prefetch(worker.dataset, self)
        return super().__iter__()


@DATA_SAMPLERS.register_module()
class LookAheadBatchSampler(BatchSampler):
    """Batches of a sampler's indices, each with the indices that the same worker will load in its next turns.

    torch sends batches to workers in turn: with W workers, the worker of batch `k` also loads batch `k + W`.

        2 workers, 2 turns ahead:    batch 0: 0 2 4    batch 1: 1 3 5    batch 2: 2 4 6    batch 3: 3 5 7

    Args:
        sampler: sampler of single indices.
        batch_size: indices in a batch.
        num_workers: number of workers of the loader.
        num_images: how many images ahead each worker fetches, rounded up to whole batches.
        backend_args: arguments of the storage back end that reads the images.
        drop_last: leave out a last batch that is not full.
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
            batch = PrefetchingBatch(window[0])
            batch.upcoming = list(window)[:: self._num_workers]
            batch.num_turns = self._num_turns
            batch.is_first = number < self._num_workers
            batch.backend_args = self._backend_args
            window.popleft()
            number += 1
            yield batch


_has_begun = False
# Whether the cache held all images of the batch that was looked at last.
_all_cached = False


def _prefetch(dataset: Any, batch: PrefetchingBatch) -> None:
    """Start to fetch what this worker has not been told of: the last turn, or all turns in a worker that has started.

    As long as the cache holds whole batches, only the first image of each batch is looked up: in a later epoch there is
    nothing to fetch, and looking up every image would take as long as reading it.
    """
    global _has_begun, _all_cached
    settings = _settings(tuple(batch.backend_args.items()))
    new = batch.upcoming if batch.is_first or not _has_begun else batch.upcoming[batch.num_turns :]
    _has_begun = True
    for first, *others in new:
        started = _start_fetch(dataset, first, settings)
        if started or not _all_cached:
            others_started = [_start_fetch(dataset, index, settings) for index in others]
            _all_cached = not (started or any(others_started))


@cache
def _settings(backend_args: tuple[tuple[str, Any], ...]) -> S3Settings:
    return default_settings(**{key: value for key, value in backend_args if key != "backend"})


def _start_fetch(dataset: Any, index: int, settings: S3Settings) -> bool:
    """Start to fetch an image; return whether it had to be fetched."""
    path = dataset.get_data_info(index).get("img_path", "")
    return is_s3(path) and prefetch_object(path, settings)
