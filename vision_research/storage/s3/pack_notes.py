"""Notes beside the cache: which pack contains a folder, and how many bytes of the cache that pack may use.

The index of the pack is stored beside the note and mapped into memory, which all processes share. The caller holds a
lock, so that two packs are never given the same bytes of the cache.
"""

from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vision_research.storage.s3.pack_format import PackIndex
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import write_atomic

logger = logging.getLogger(__name__)

# The share of the cache for packs. Other objects need the rest, and a full cache is emptied down to nine tenths.
_CACHE_SHARE = 0.9
_SUFFIX = ".note"


class FoundPack(NamedTuple):
    """A pack that was found.

    Attributes:
        root: its folder.
        index: content of its index, as bytes or as a memory map.
        cached_bytes: bytes of the cache that it may use: the size of the pack, or 0 if its images are read one by one.
    """

    root: S3Uri
    index: Any
    cached_bytes: int


class PackNotes:
    """The notes of one run on one machine.

    Args:
        settings: how S3 is reached, and where the cache is.
        since: Unix time in seconds when the run began; older notes may be out of date.
    """

    def __init__(self, settings: S3Settings, since: float) -> None:
        self._folder = Path(str(settings.cache_dir)).expanduser() / "packs"
        self._settings = settings
        self._since = since

    def read(self, folder: S3Uri) -> FoundPack | None:
        """Read which pack contains a folder; None if a process has looked and found none.

        Raises:
            OSError: no process has looked in this run.
            ValueError: the note is damaged.
        """
        note = self._note(folder)
        if note.stat().st_mtime < self._since:
            raise FileNotFoundError(f"{note} is of an earlier run")
        lines = note.read_text(encoding="utf-8").split("\n")
        if lines == [""]:
            return None
        root, index, cached_bytes = lines
        return FoundPack(S3Uri.parse(root), np.memmap(note.with_name(index), mode="r"), int(cached_bytes))

    def write(self, folder: S3Uri, found: FoundPack | None) -> FoundPack | None:
        """Write which pack contains a folder: lines with its root, the file of its index, and its bytes of the cache.

        Args:
            folder: the folder.
            found: the pack, whose bytes of the cache are not decided yet; None if no pack contains the folder.

        Raises:
            OSError: the disk cannot be written.
            ValueError: the index is damaged.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if found is None:
            write_atomic(self._note(folder), "")
            return None
        root = found.root
        index = self._folder / _digest(found.index)
        if not index.exists():
            write_atomic(index, found.index)
        cached_bytes = self._room(root, index.name, PackIndex(found.index).total_bytes)
        write_atomic(self._note(folder), f"{root}\n{index.name}\n{cached_bytes}")
        return FoundPack(root, np.memmap(index, mode="r"), cached_bytes)

    def _room(self, root: S3Uri, index: str, size: int) -> int:
        """Return how many bytes of the cache a pack may use: all or none.

        Packs that evict each other's blocks would be read from S3 again and again.
        """
        given = dict(self._given())
        if index in given:
            return given[index]
        if room_for(size, self._settings, taken=sum(given.values())):
            return size
        beside = f" beside {sum(given.values()) / 1e9:.3g} GB of other packs" if given else ""
        logger.warning(
            "The pack %s has %.3g GB%s, which the cache of %g GB has no room for: each of its images is a request of "
            "its own. Type storage.cache_size_gb=%g",
            root,
            size / 1e9,
            beside,
            self._settings.cache_size_gb,
            _round_up((size + sum(given.values())) / _CACHE_SHARE / 1e9),
        )
        return 0

    def _given(self) -> list[tuple[str, int]]:
        """List how many bytes of the cache each pack of this run may use, by the file name of its index."""
        notes = (note for note in self._folder.glob(f"*{_SUFFIX}") if note.stat().st_mtime >= self._since)
        lines = (note.read_text(encoding="utf-8").split("\n") for note in notes)
        return [(line[1], int(line[2])) for line in lines if len(line) == 3]

    def _note(self, folder: S3Uri) -> Path:
        name = _digest(self._settings.name_of(folder).encode("utf-8", "surrogatepass"))
        return self._folder / f"{name}{_SUFFIX}"


def room_for(size: int, settings: S3Settings, taken: int = 0) -> bool:
    """Tell whether the cache has room for the whole of a pack.

    Args:
        size: of the pack, in bytes.
        settings: with the size of the cache.
        taken: bytes that other packs may use.
    """
    return taken + size <= _CACHE_SHARE * settings.cache_size_gb * 1e9


def _round_up(size_gb: float) -> float:
    """Round up to two digits, since nobody types a size with more."""
    unit = 10.0 ** (math.floor(math.log10(size_gb)) - 1)
    return math.ceil(size_gb / unit) * unit


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
