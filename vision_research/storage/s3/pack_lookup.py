"""Finds the pack that contains an image, and lists the images of a pack.

One process of a machine asks S3 for the pack, once per run. The other processes read its answer from a file beside the
cache (`pack_notes`).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache
from typing import Any

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.listing import FolderEntry
from vision_research.storage.s3.pack_format import INDEX, NAMES, PackIndex
from vision_research.storage.s3.pack_notes import FoundPack, PackNotes, room_for
from vision_research.storage.s3.pack_reader import Pack
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

logger = logging.getLogger(__name__)

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
        number = None if pack is None else pack.find(uri)
        if pack is not None and number is not None:
            return pack, number
    pack = _pack_of(uri.parent, settings, cache, since)
    number = None if pack is None else pack.find(uri)
    return None if pack is None or number is None else (pack, number)


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
            content = _whole(root.child(INDEX), settings)
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
            return notes.write(folder, None if found is None else (found.root, found.index))
        except OSError as error:
            cache.give_up_writing(error)
            return found


def _index_of(root: S3Uri, content: Any) -> PackIndex:
    try:
        return PackIndex(content)
    except ValueError as error:
        raise S3Error(f"{root.child(INDEX)} is no index of a pack: {error}. Pack the data again.") from error


def packed_listing(folder: S3Uri, settings: S3Settings) -> dict[str, FolderEntry]:
    """List the images and folders of a pack that are in a folder.

    Args:
        folder: the folder; the pack may be in a folder above it.
        settings: how S3 is reached.

    Returns:
        The entries by name; none if the folder is in no pack.
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
    lines = _whole(root.child(NAMES), settings).decode("utf-8", "surrogatepass").split("\n")[:-1]
    return tuple((int(size), name) for size, _, name in (line.partition(" ") for line in lines))


def _listed(names: tuple[tuple[int, str], ...], folder: S3Uri, root: S3Uri) -> dict[str, FolderEntry]:
    prefix = folder.folder_prefix.removeprefix(root.folder_prefix)
    found: dict[str, FolderEntry] = {}
    for size, name in names:
        if name.startswith(prefix):
            first, slash, _ = name[len(prefix) :].partition("/")
            found.setdefault(first, FolderEntry(first, is_folder=bool(slash), size=0 if slash else size))
    return found


def _whole(uri: S3Uri, settings: S3Settings) -> bytes:
    body = fetch(uri, settings).body
    assert body is not None
    return body
