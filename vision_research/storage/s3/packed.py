"""Reads images out of a pack: a whole block by one ranged GET, into the cache that all processes share.

Where there is no cache, or one too small for the pack, each image is a ranged GET of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.listing import Listed
from vision_research.storage.s3.pack_format import INDEX, NAMES, PackIndex, shard_name
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import write_atomic

# A block is some MB: more at once would take memory and be no faster.
_blocks_at_once = threading.BoundedSemaphore(4)
_CACHE_SHARE = 0.9


class Pack:
    """One pack, as this process reads it.

    Args:
        root: its folder.
        index: where its images lie.
        settings: how S3 is reached.
        cache: of this machine; None reads every image by itself.
    """

    def __init__(self, root: S3Uri, index: PackIndex, settings: S3Settings, cache: DiskCache | None) -> None:
        self._root = root
        self._index = index
        self._settings = settings
        fits = index.total_bytes <= _CACHE_SHARE * settings.cache_size_gb * 1e9
        self._cache = cache if fits else None

    def find(self, uri: S3Uri) -> int | None:
        """Return the number of an image; None where the pack has no such image."""
        return self._index.find(uri.key.removeprefix(self._root.folder_prefix))

    def is_kept(self, number: int) -> bool:
        """Tell whether an image is in the cache."""
        return self._cache is not None and self._cache.confirmed(self._cache_name(number)) is not None

    def read(self, number: int) -> bytes:
        """Read an image.

        Raises:
            S3Error: it was refused, is damaged, or the server was away for too long.
        """
        block, offset, size, crc = self._index.entry(number)
        if self._cache is None:
            shard = self._index.block(block)[0]
            return self._whole(self._range(shard, offset, offset + size), crc, number)
        return self._kept(number) or self._through_cache(block, number)

    def _through_cache(self, block: int, number: int) -> bytes:
        """Fetch a block, unless another thread or process did while this one waited for its turn."""
        assert self._cache is not None
        with _blocks_at_once, self._turn(block):
            if (kept := self._kept(number)) is not None:
                return kept
            shard, start, stop, entries = self._index.block(block)
            content = memoryview(self._range(shard, start, stop))
            wanted = b""
            for entry in entries:
                _, offset, size, crc = self._index.entry(entry)
                body = self._whole(bytes(content[offset - start : offset - start + size]), crc, entry)
                self._cache.write(self._cache_name(entry), body, self._index.pack_id)
                wanted = body if entry == number else wanted
        return wanted

    def _kept(self, number: int) -> bytes | None:
        assert self._cache is not None
        entry = self._cache.read(self._cache_name(number))
        return None if entry is None else entry.body

    def _range(self, shard: int, start: int, stop: int) -> bytes:
        if start == stop:
            return b""
        uri = self._root.child(shard_name(self._index.pack_id, shard))
        body = fetch(uri, self._settings, byte_range=(start, stop)).body
        assert body is not None
        return body

    def _whole(self, body: bytes, crc: int, number: int) -> bytes:
        if zlib.crc32(body) != crc:
            raise S3Error(f"Image {number} of the pack {self._root} is damaged. Pack the data again.")
        return body

    def _cache_name(self, number: int) -> str:
        return f"{self._settings.endpoint_url or ''} {self._root}#{self._index.pack_id}/{number}"

    @contextmanager
    def _turn(self, block: int) -> Iterator[None]:
        folder = Path(str(self._settings.cache_dir)).expanduser() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / str(block % 1024)).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@lru_cache(maxsize=64)
def pack_of(folder: S3Uri, settings: S3Settings, cache: DiskCache | None) -> Pack | None:
    """Find the pack that a folder lies in, itself or a folder above it having one; None where there is none.

    Raises:
        S3Error: it was refused, is damaged, or the server was away for too long.
    """
    root = folder
    while True:
        try:
            content = fetch(root.child(INDEX), settings).body
            assert content is not None
            return Pack(root, _index(content, root, settings), settings, cache)
        except S3NotFoundError:
            if not root.key:
                return None
            root = root.parent


def packed_listing(folder: S3Uri, settings: S3Settings) -> dict[str, Listed]:
    """Return what a folder holds of the pack that it lies in, by name."""
    root = folder
    while True:
        try:
            return _listed(_names(root, replace(settings, cache_dir=None)), folder, root)
        except S3NotFoundError:
            if not root.key:
                return {}
            root = root.parent


@lru_cache(maxsize=2)
def _names(root: S3Uri, settings: S3Settings) -> tuple[tuple[int, str], ...]:
    content = fetch(root.child(NAMES), settings).body
    assert content is not None
    lines = content.decode("utf-8", "surrogatepass").split("\n")[:-1]
    return tuple((int(size), name) for size, _, name in (line.partition(" ") for line in lines))


def _listed(names: tuple[tuple[int, str], ...], folder: S3Uri, root: S3Uri) -> dict[str, Listed]:
    prefix = folder.folder_prefix.removeprefix(root.folder_prefix)
    found: dict[str, Listed] = {}
    for size, name in names:
        if name.startswith(prefix):
            first, slash, _ = name[len(prefix) :].partition("/")
            found.setdefault(first, Listed(first, is_folder=bool(slash), size=0 if slash else size))
    return found


def _index(content: bytes, root: S3Uri, settings: S3Settings) -> PackIndex:
    """Map the index into memory that all processes share, where there is a disk for it."""
    try:
        if settings.cache_dir is None:
            return PackIndex(content)
        folder = Path(settings.cache_dir).expanduser() / "packs"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(content).hexdigest()[:16]
        if not path.exists():
            write_atomic(path, content)
        mapped: Any = np.memmap(path, mode="r")
        return PackIndex(mapped)
    except ValueError as error:
        raise S3Error(f"{root.child(INDEX)} is no index of a pack: {error}. Pack the data again.") from error
