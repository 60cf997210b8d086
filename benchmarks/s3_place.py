"""Where the benchmarks of S3 run: the same images on disk and in a bucket of a real server, behind a slow proxy."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.settings import S3Settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from record import record
from s3_proxy import S3Proxy
from s3_server import CREDENTIALS, S3Server

NUM_IMAGES = 640
LATENCY_S = 0.02
BUCKET = "benchmark"


def show(name: str, value: float, other_name: str, other: float, limit: float) -> None:
    """Print a ratio, and keep it."""
    record("s3", **{name: {"value": value, "other": other, "ratio": value / other}})
    print(f"{name}: {value:.4g}; {other_name}: {other:.4g}; ratio {value / other:.3f} (held to {limit})", flush=True)


class Place:
    """The same images on disk and in a bucket."""

    def __init__(self, folder: Path, direct: str, slow: str, counts: Connection) -> None:
        self._counts = counts
        self.folder = folder
        self.local, self.remote = str(folder / "images"), f"s3://{BUCKET}/images"
        self.settings, self._slow = S3Settings(endpoint_url=direct), slow
        self.plain = {"backend": "plain_s3", "endpoint_url": slow}

    def ours(self, cache: str) -> dict[str, Any]:
        """Return the back end with a cache that is empty when first used."""
        return {"backend": "s3", "endpoint_url": self._slow, "cache_dir": str(self.folder / "cache" / cache)}

    def num_requests(self) -> int:
        """Return how many GET requests have come by the proxy."""
        self._counts.send(None)
        return int(self._counts.recv())

    def fill(self) -> None:
        """Make the images, and upload them."""
        rng = np.random.default_rng(0)
        Path(self.local).mkdir()
        client = s3_client(self.settings)
        client.create_bucket(Bucket=BUCKET)
        for number in range(NUM_IMAGES):
            noise = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            cv2.imwrite(f"{self.local}/{number:04}.jpg", cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC))
        sizes = [path.stat().st_size for path in Path(self.local).iterdir()]
        print(f"{NUM_IMAGES} JPEGs of 320 x 240, {median(sizes) / 1000:.0f} kB each, {os.cpu_count()} cores")
        with ThreadPoolExecutor(4) as pool:
            files = sorted(Path(self.local).iterdir())
            list(pool.map(lambda path: client.upload_file(str(path), BUCKET, f"images/{path.name}"), files))


@contextmanager
def place() -> Iterator[Place]:
    """Start the server and, in a process of its own, the proxy."""
    os.environ |= CREDENTIALS
    # The server stands for another machine: it takes from the cores here only what nobody else wants.
    with tempfile.TemporaryDirectory() as folder, S3Server(Path(folder, "server"), niceness=19) as server:
        theirs, ours = multiprocessing.Pipe()
        proxy = multiprocessing.get_context("spawn").Process(target=_serve, args=(server.endpoint, theirs), daemon=True)
        proxy.start()
        made = Place(Path(folder), server.endpoint, ours.recv(), ours)
        made.fill()
        yield made
        proxy.kill()


def _serve(upstream: str, pipe: Connection) -> None:
    with S3Proxy(upstream, LATENCY_S) as proxy:
        pipe.send(proxy.endpoint)
        while True:
            pipe.recv()
            pipe.send(proxy.requests["GET"])
