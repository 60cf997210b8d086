"""Reads images out of a pack: a whole block by one ranged GET, into the cache that all processes share.

Where there is no cache, or one too small for the pack, or a disk that takes nothing, each image is a ranged GET of its
own.
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

# A block is some MB: more at once would take memory and be no faster.
_blocks_at_once = threading.BoundedSemaphore(4)


class Pack:
    """One pack, as this process reads it.

    Args:
        root: its folder.
        index: where its images lie.
        settings: how S3 is reached.
        cache: of this machine, which has room for the pack; None reads every image by itself.
    """

    def __init__(self, root: S3Uri, index: PackIndex, settings: S3Settings, cache: DiskCache | None) -> None:
        self._root = root
        self._index = index
        self._settings = settings
        self._cache = cache

    def find(self, uri: S3Uri) -> int | None:
        """Return the number of an image; None where the pack has no such image."""
        prefix = self._root.folder_prefix
        return self._index.find(uri.key.removeprefix(prefix)) if uri.key.startswith(prefix) else None

    def is_kept(self, number: int) -> bool:
        """Tell whether an image is in the cache."""
        block = self._index.entry(number)[0]
        return self._cache is not None and self._cache.confirmed(self._cache_name(block)) is not None

    def read(self, number: int) -> bytes:
        """Read an image.

        Raises:
            S3Error: it was refused, is damaged, or the server was away for too long.
        """
        kept = self._kept(number)
        if kept is not None:
            return kept
        if self._cache is not None and self._cache.is_writable:
            return self._through_cache(self._cache, number)
        block, offset, size, crc = self._index.entry(number)
        return self._whole(self._range(self._index.block(block)[0], offset, offset + size), crc, number)

    def _through_cache(self, cache: DiskCache, number: int) -> bytes:
        """Fetch a block, unless another thread or process did while this one waited for its turn."""
        block, offset, size, crc = self._index.entry(number)
        # The turn comes first: whoever waits for a block that is under way keeps nobody from fetching another.
        with cache.turn(str(block % 1024)), _blocks_at_once:
            kept = self._kept(number)
            if kept is not None:
                return kept
            shard, start, stop, _ = self._index.block(block)
            content = self._range(shard, start, stop)
            body = self._whole(content[offset - start : offset - start + size], crc, number)
            cache.write(self._cache_name(block), content, self._index.pack_id)
        return body

    def _kept(self, number: int) -> bytes | None:
        """Read an image out of its block in the cache; one block there is one file, for it was written at once."""
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
