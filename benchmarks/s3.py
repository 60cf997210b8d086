"""Training straight from S3, over the same data on local disk and over a plain back end: ratios, measured side by side.

    python benchmarks/s3.py [load] [pack] [step] [upload] [memory]

A real server (SeaweedFS) runs beside it, behind a loopback proxy that adds 20 ms to every request.

load    images/s while nothing but loading runs: two workers read and decode. Cold over one GET an image with boto3's
        `get_object` (held to 6), and a later epoch from the cache over local disk (held to 0.97).
pack    images/s of a cold epoch from a pack over one from single objects (held to 1.5), and images a request (to 50).
step    images/s of a cold epoch over local disk, when each batch of 8 is followed by a step of 0.5 s (held to 0.9).
upload  an iteration while a checkpoint is uploaded, over those without (held to 1.02), and over those beside a bare
        sender of the same bytes: what is left is not the server's, which shares the cores here.
memory  private memory of a worker with 100,000 images in the data set, over 1,000.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import mmengine.fileio as fileio
import numpy as np
import psutil
import torch
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.fileio import BaseStorageBackend, register_backend
from s3_place import BUCKET, NUM_IMAGES, Place, place, show
from s3_upload import upload
from torch.utils.data import DataLoader, get_worker_info

import vision_research.engine.registered  # noqa: F401
from vision_research.engine.prefetch_sampler import LookAheadBatchSampler
from vision_research.storage.s3.pack_writer import PackWriter
from vision_research.storage.s3.uri import S3Uri

BATCH = 8
WORKERS = 2
STEP_S = 0.5


@register_backend("plain_s3")
class PlainBackend(BaseStorageBackend):
    """What a person writes first: one `get_object` an image, from one client a process."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._client: Any = None

    def get(self, filepath: str) -> bytes:
        """Read an object."""
        import boto3

        self._client = self._client or boto3.client("s3", endpoint_url=self._endpoint_url)
        uri = S3Uri.parse(filepath)
        body: bytes = self._client.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        return body

    def get_text(self, filepath: str) -> str:
        """Read text."""
        return self.get(filepath).decode()


class Images(BaseDataset):
    """A data set as MMEngine keeps one: its list serialised, its images read through a back end and decoded."""

    def __init__(
        self, root: str, backend_args: dict[str, Any] | None, count: int = NUM_IMAGES, measured: bool = False
    ) -> None:
        self._root, self._count, self._backend_args, self._measured = root, count, backend_args, measured
        super().__init__()

    def load_data_list(self) -> list[dict[str, Any]]:
        """Name the images; more than there are go round."""
        return [{"img_path": f"{self._root}/{number % NUM_IMAGES:04}.jpg"} for number in range(self._count)]

    def prepare_data(self, idx: int) -> tuple[int, int]:
        """Load one image; return its height, and the private memory of a measured worker in bytes, sometimes."""
        content = fileio.get(self.get_data_info(idx)["img_path"], backend_args=self._backend_args)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        # To ask takes as long as to load several images, and longer for the worker that has more threads.
        sampled = self._measured and get_worker_info() is not None and idx % 64 == 0
        return image.shape[0], psutil.Process().memory_full_info().uss if sampled else 0


def loader(images: Images, prefetch: int = 0) -> DataLoader[Any]:
    """Make a loader as a training has it."""
    sampler = DefaultSampler(images, shuffle=True, seed=1)
    common = {"num_workers": WORKERS, "collate_fn": list, "persistent_workers": True}
    if prefetch:
        args = (BATCH, WORKERS, prefetch, images._backend_args)
        return DataLoader(images, batch_sampler=LookAheadBatchSampler(sampler, *args), **common)
    return DataLoader(images, sampler=sampler, batch_size=BATCH, **common)


def images_per_s(loading: DataLoader[Any], step_s: float = 0.0, num_batches: int = 10**9) -> float:
    """Measure one epoch, from its first request on."""
    started, count = time.perf_counter(), 0
    for number, batch in enumerate(loading):
        count += len(batch)
        time.sleep(step_s)
        if number + 1 == num_batches:
            break
    return count / (time.perf_counter() - started)


def load(place: Place) -> None:
    """Print what loading alone gives."""
    cold, plain, cached, local = [], [], [], []
    for turn in range(3):
        plain.append(images_per_s(loader(Images(place.remote, place.plain)), num_batches=20))
        ours = loader(Images(place.remote, place.ours(f"load{turn}")), prefetch=64)
        cold.append(images_per_s(ours))
        disk = loader(Images(place.local, None))
        images_per_s(disk)  # its workers start, as those of the other have
        for number in range(10):
            # Each comes first as often as the other.
            pair = ((cached, ours), (local, disk))
            for measured, loading in pair if number % 2 else reversed(pair):
                measured.append(images_per_s(loading))
    show("cold", median(cold), "one GET an image", median(plain), 6)
    show("epoch 2, from the cache", median(cached), "local disk", median(local), 0.97)


def pack(place: Place) -> None:
    """Print what packing gives."""
    names = [f"images/{number:04}.jpg" for number in range(NUM_IMAGES)]
    root = Path(place.local).parent
    writer = PackWriter(S3Uri(BUCKET, "packed"), place.settings, 256_000_000, place.folder)
    writer.write(names, lambda name: (root / name).read_bytes())
    packed, single, requests = [], [], []
    for turn in range(3):
        single.append(images_per_s(loader(Images(place.remote, place.ours(f"single{turn}")), prefetch=64)))
        before = place.num_requests()
        args = {**place.ours(f"packed{turn}"), "packed": True}
        packed.append(images_per_s(loader(Images(f"s3://{BUCKET}/packed/images", args), prefetch=64)))
        requests.append(place.num_requests() - before)
    show("cold, packed", median(packed), "cold, single objects", median(single), 1.5)
    show("images", NUM_IMAGES, "requests, index included", median(requests), 50)


def step(place: Place) -> None:
    """Print what a training step leaves of the latency."""
    cold, local = [], []
    for turn in range(2):
        ours = loader(Images(place.remote, place.ours(f"step{turn}")), prefetch=64)
        cold.append(images_per_s(ours, STEP_S, num_batches=40))
        local.append(images_per_s(loader(Images(place.local, None)), STEP_S, num_batches=40))
    show(f"cold, with a step of {STEP_S} s", median(cold), "local disk", median(local), 0.9)


def memory(place: Place) -> None:
    """Print what a worker holds for itself."""
    private = {}
    for count in (1_000, 100_000):
        ours = loader(Images(place.remote, place.ours(f"memory{count}"), count, measured=True), prefetch=64)
        peaks = []
        for number, batch in enumerate(ours):
            peaks += [used for _, used in batch if used]
            if number == 80:
                break
        private[count] = max(peaks) / 1e6
    show("MB with 100,000 images", private[100_000], "MB with 1,000", private[1_000], 1.1)


def main() -> None:
    """Measure and print."""
    parts: dict[str, Callable[[Place], None]] = {
        "load": load,
        "pack": pack,
        "step": step,
        "upload": upload,
        "memory": memory,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *parts], default=list(parts))
    chosen = parser.parse_args().parts
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with place() as made:
        for name in chosen:
            parts[name](made)


if __name__ == "__main__":
    main()
