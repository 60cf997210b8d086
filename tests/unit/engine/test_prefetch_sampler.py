"""Loader workers know which images come next, and the order of the images stays what it was."""

from __future__ import annotations

import threading
from dataclasses import asdict
from itertools import islice
from typing import Any

import mmengine.fileio as fileio
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from s3_server import S3Server
from torch.utils.data import BatchSampler, DataLoader, Dataset

from vision_research.engine.prefetch_sampler import LookAheadBatchSampler, PrefetchingBatch
from vision_research.engine.skip_batches import base_sampler, iterate_from, rewind
from vision_research.storage.s3 import objects
from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.settings import S3Settings


def batches(length: int, num_images: int = 8) -> list[PrefetchingBatch]:
    sampler = LookAheadBatchSampler(range(length), 4, 2, num_images, {})
    return [batch for batch in sampler if isinstance(batch, PrefetchingBatch)]


def test_a_batch_announces_the_later_ones_of_its_worker() -> None:
    numbers = [[upcoming[0] // 4 for upcoming in batch.upcoming] for batch in batches(30)]

    assert numbers == [[0, 2, 4], [1, 3, 5], [2, 4, 6], [3, 5, 7], [4, 6], [5, 7], [6], [7]]
    assert [batch.is_first for batch in batches(30)] == [True, True] + [False] * 6


@pytest.mark.parametrize("length", [1, 3, 8, 9, 63])
@pytest.mark.parametrize("num_images", [1, 8, 1000])
def test_the_order_stays(length: int, num_images: int) -> None:
    assert batches(length, num_images) == list(BatchSampler(range(length), 4, drop_last=False))


class Images(Dataset[bytes]):
    """As many images as a bucket holds, read as `LoadImageFromFile` reads them."""

    def __init__(self, root: str, count: int, backend_args: dict[str, Any]) -> None:
        self.root, self.count, self.backend_args = root, count, backend_args

    def __len__(self) -> int:
        return self.count

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"img_path": f"{self.root}/{index}.jpg"}

    def __getitem__(self, index: int) -> tuple[int, bytes, int]:
        body = fileio.get(self.get_data_info(index)["img_path"], backend_args=self.backend_args)
        return index, body, sum(len(one.pending) for one in objects._prefetchers.values())


def loader(bucket: str, settings: S3Settings, sampler: Any = DefaultSampler) -> DataLoader[Any]:
    args = {"backend": "s3", "endpoint_url": settings.endpoint_url, "give_up_after_s": settings.give_up_after_s}
    images = Images(f"{bucket}/images", 40, args)
    inner = sampler(images, shuffle=True, seed=3)
    ahead = LookAheadBatchSampler(inner, 4, 2, 8, args)
    return DataLoader(images, batch_sampler=ahead, num_workers=2, collate_fn=list, persistent_workers=True)


@pytest.fixture
def images(bucket: str) -> str:
    for number in range(40):
        fileio.put(str(number).encode(), f"{bucket}/images/{number}.jpg")
    return bucket


@pytest.mark.slow
def test_workers_fetch_ahead_and_load_every_image_once(images: str, s3_settings: S3Settings) -> None:
    loading = loader(images, s3_settings)
    for _ in range(2):
        samples = [sample for batch in loading for sample in batch]

        assert sorted(index for index, _, _ in samples) == list(range(40))
        assert all(body == str(index).encode() for index, body, _ in samples)
        assert max(waiting for _, _, waiting in samples) >= 8
        assert samples[-1][2] == 0, "what was announced has been taken"


@pytest.mark.slow
def test_a_resumed_epoch_goes_on_where_it_stood(images: str, s3_settings: S3Settings) -> None:
    order = [[index for index, _, _ in batch] for batch in loader(images, s3_settings)]
    resumed = iterate_from(loader(images, s3_settings), 3)

    assert [[index for index, _, _ in batch] for batch in resumed] == order[3:]


@pytest.mark.slow
def test_an_endless_order_is_rewound(images: str, s3_settings: S3Settings) -> None:
    loading = loader(images, s3_settings, InfiniteSampler)
    first = [[index for index, _, _ in batch] for batch in islice(loading, 5)]
    loading._iterator = None
    rewind(loading)

    assert base_sampler(loading).indices is not None
    assert [[index for index, _, _ in batch] for batch in islice(loading, 5)] == first


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_an_epoch_costs_no_image(
    own_s3_server: S3Server, s3_credentials: None
) -> None:
    settings = S3Settings(endpoint_url=own_s3_server.endpoint, give_up_after_s=60)
    s3_client(settings).create_bucket(Bucket="images")
    for number in range(40):
        S3Backend(**asdict(settings)).put(str(number).encode(), f"s3://images/images/{number}.jpg")
    batches = iter(loader("s3://images", settings))
    samples = [*next(batches), *next(batches)]
    own_s3_server.kill()
    threading.Timer(1.0, own_s3_server.start).start()
    samples += [sample for batch in batches for sample in batch]

    assert sorted(index for index, _, _ in samples) == list(range(40)), "each exactly once"
    assert all(body == str(index).encode() for index, body, _ in samples)
