"""Finds the pack that contains an image, lists the images of a pack, and reads them.

One process of a machine asks S3 for the pack, once per run. The other processes read its answer from a file beside the
cache (`pack_notes`). One ranged GET reads a whole block of images into the cache. Without a cache, with one that is too
small for the pack, or while its disk cannot be written, every image is read by its own ranged GET.
"""

from __future__ import annotations

import logging
import threading
import zlib
from dataclasses import replace
from functools import lru_cache
from typing import Any

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.listing import FolderEntry
from vision_research.storage.s3.pack_format import INDEX, NAMES, PackIndex, shard_name
from vision_research.storage.s3.pack_notes import FoundPack, PackNotes, room_for
from vision_research.storage.s3.reader import read_uncached
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

logger = logging.getLogger(__name__)

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
        """Read an image; `S3Error` if it was refused, is damaged, or the server did not answer in time."""
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
        return read_uncached(uri, self._settings, (start, stop))

    def _whole(self, body: bytes, crc: int, number: int) -> bytes:
        if zlib.crc32(body) != crc:
            raise S3Error(f"Image {number} of the pack {self._root} is damaged. Pack the data again.")
        return body

    def _cache_name(self, block: int) -> str:
        return self._settings.name_of(f"{self._root}#{self._index.pack_id}/block/{block}")


# Packs that this process has found, so that not every folder of a pack needs a look-up.
_found: dict[tuple[S3Settings, S3Uri, float], Pack] = {}


def find_in_pack(uri: S3Uri, settings: S3Settings, cache: DiskCache | None, since: float) -> tuple[Pack, int] | None:
    """Find an image in the pack of its folder, or of a folder above it.

    Args:
        uri: address of the image.
        settings: how S3 is reached.
        cache: disk cache of this machine.
        since: Unix time in seconds when the run began; packs that were found before may have changed.

    Returns:
        The pack and the number of the image's entry; None if no pack contains the image.

    Raises:
        S3Error: an index was refused or is damaged, or the server did not answer in time.
    """
    folder = uri
    while folder.key:
        folder = folder.parent
        pack = _found.get((settings, folder, since))
        if pack is not None and (number := pack.find(uri)) is not None:
            return pack, number
    pack = _pack_of(uri.parent, settings, cache, since)
    return None if pack is None or (number := pack.find(uri)) is None else (pack, number)


@lru_cache(maxsize=1024)
def _pack_of(folder: S3Uri, settings: S3Settings, cache: DiskCache | None, since: float) -> Pack | None:
    found = _look_up(folder, settings) if cache is None else _look_up_once(folder, settings, cache, since)
    if found is None:
        return None
    pack = Pack(found.root, _index_of(found.root, found.index), settings, cache if found.cached_bytes else None)
    return _found.setdefault((settings, found.root, since), pack)


def _look_up(folder: S3Uri, settings: S3Settings) -> FoundPack | None:
    """Ask S3 for the index of the nearest pack, from the folder upwards."""
    root = folder
    while True:
        try:
            content = read_uncached(root.child(INDEX), settings)
        except S3NotFoundError:
            if not root.key:
                return None
            root = root.parent
        else:
            size = _index_of(root, content).total_bytes
            return FoundPack(root, content, size if room_for(size, settings) else 0)


def _look_up_once(folder: S3Uri, settings: S3Settings, cache: DiskCache, since: float) -> FoundPack | None:
    """Ask S3, unless another process has done so in this run."""
    notes = PackNotes(settings, since)
    with cache.lock("packs"):
        try:
            return notes.read(folder)
        except (OSError, ValueError):
            logger.debug("no process has looked for the pack of %s in this run", folder)
        found = _look_up(folder, settings)
        if not cache.is_writable:
            return found
        try:
            return notes.write(folder, found)
        except OSError as error:
            cache.give_up_writing(error)
            return found


def _index_of(root: S3Uri, content: Any) -> PackIndex:
    try:
        return PackIndex(content)
    except ValueError as error:
        raise S3Error(f"{root.child(INDEX)} is no index of a pack: {error}. Pack the data again.") from error


def packed_listing(folder: S3Uri, settings: S3Settings) -> dict[str, FolderEntry]:
    """List the images and folders of a pack that are in a folder, by name; none if the folder is in no pack.

    Args:
        folder: the folder; the pack may be in a folder above it.
        settings: how S3 is reached.
    """
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
    lines = read_uncached(root.child(NAMES), settings).decode("utf-8", "surrogatepass").split("\n")[:-1]
    return tuple((int(size), name) for size, _, name in (line.partition(" ") for line in lines))


def _listed(names: tuple[tuple[int, str], ...], folder: S3Uri, root: S3Uri) -> dict[str, FolderEntry]:
    prefix = folder.folder_prefix.removeprefix(root.folder_prefix)
    found: dict[str, FolderEntry] = {}
    for size, name in names:
        if name.startswith(prefix):
            first, slash, _ = name[len(prefix) :].partition("/")
            found.setdefault(first, FolderEntry(first, is_folder=bool(slash), size=0 if slash else size))
    return found
