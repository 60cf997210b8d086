"""Reads images from a pack: one ranged GET reads a whole block into the cache, which all processes share.

Without a cache, with one that is too small for the pack, or while its disk cannot be written, every image is read by
its own ranged GET.
"""

from __future__ import annotations

import threading
import zlib

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.pack_format import PackIndex, shard_name
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

# A block has a few MB; more blocks at once would take memory without being faster.
_blocks_at_once = threading.BoundedSemaphore(4)


class Pack:
    """Reads one pack.

    Args:
        root: its folder.
        index: positions of its images.
        settings: how S3 is reached.
        cache: disk cache of this machine, with room for the pack; None reads every image by its own request.
    """

    def __init__(self, root: S3Uri, index: PackIndex, settings: S3Settings, cache: DiskCache | None) -> None:
        self._root = root
        self._index = index
        self._settings = settings
        self._cache = cache

    def find(self, uri: S3Uri) -> int | None:
        """Return the number of an image; None if the pack does not contain it."""
        prefix = self._root.folder_prefix
        return self._index.find(uri.key.removeprefix(prefix)) if uri.key.startswith(prefix) else None

    def is_cached(self, number: int) -> bool:
        """Tell whether an image is in the cache."""
        block = self._index.entry(number)[0]
        return self._cache is not None and self._cache.confirmed(self._cache_name(block)) is not None

    def read(self, number: int) -> bytes:
        """Read an image.

        Raises:
            S3Error: it was refused, is damaged, or the server did not answer in time.
        """
        cached = self._read_cached(number)
        if cached is not None:
            return cached
        if self._cache is not None and self._cache.is_writable:
            return self._through_cache(self._cache, number)
        block, offset, size, crc = self._index.entry(number)
        return self._whole(self._range(self._index.block(block)[0], offset, offset + size), crc, number)

    def _through_cache(self, cache: DiskCache, number: int) -> bytes:
        """Read a block from S3, unless another thread or process has read it while this one waited for the lock."""
        block, offset, size, crc = self._index.entry(number)
        # The lock comes first, so that waiting for a block that is being read keeps nobody from reading another one.
        with cache.lock(str(block % 1024)), _blocks_at_once:
            cached = self._read_cached(number)
            if cached is not None:
                return cached
            shard, start, stop, _ = self._index.block(block)
            content = self._range(shard, start, stop)
            body = self._whole(content[offset - start : offset - start + size], crc, number)
            cache.write(self._cache_name(block), content, self._index.pack_id)
        return body

    def _read_cached(self, number: int) -> bytes | None:
        """Read an image from its block in the cache, where each block is one file."""
        if self._cache is None:
            return None
        block, offset, size, crc = self._index.entry(number)
        first = offset - self._index.block(block)[1]
        body = self._cache.read_slice(self._cache_name(block), first, first + size)
        if body is not None and zlib.crc32(body) != crc:
            self._cache.drop_damaged(self._cache_name(block))
            return None
        return body

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

    def _cache_name(self, block: int) -> str:
        return f"{self._settings.endpoint_url or ''} {self._root}#{self._index.pack_id}/block/{block}"
