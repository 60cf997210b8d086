"""Notes beside the cache: which pack a folder lies in, and whether the cache has room for its blocks.

One process of a machine looks, once in a run; the others read its note. The index lies beside it, to be mapped into
memory that all of them share. Whoever calls holds the turn, so that two packs never get the same room.
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

# Of the cache, for packs: what else is read in a run needs some, and a cache is cleared to nine tenths.
_CACHE_SHARE = 0.9
_SUFFIX = ".note"


class FoundPack(NamedTuple):
    """A pack that was looked for and found.

    Attributes:
        root: its folder.
        index: the content of its index, as bytes or mapped into memory.
        cached_bytes: that the cache has room for: all of the pack, or none where each image is read by itself.
    """

    root: S3Uri
    index: Any
    cached_bytes: int


class PackNotes:
    """The notes of one run on one machine.

    Args:
        settings: how S3 is reached, and the cache.
        since: Unix time, seconds, when the run began; older notes may be wrong by now.
    """

    def __init__(self, settings: S3Settings, since: float) -> None:
        self._folder = Path(str(settings.cache_dir)).expanduser() / "packs"
        self._settings = settings
        self._since = since

    def read(self, folder: S3Uri) -> FoundPack | None:
        """Read which pack a folder lies in; None where one looked, and there is none.

        Raises:
            OSError: nobody looked in this run.
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

    def write(self, folder: S3Uri, found: tuple[S3Uri, bytes] | None) -> FoundPack | None:
        """Note which pack a folder lies in: first line its root, then the file with its index, then the room it has.

        Raises:
            OSError: the disk takes nothing.
            ValueError: the index is damaged.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if found is None:
            write_atomic(self._note(folder), "")
            return None
        root, content = found
        index = self._folder / _digest(content)
        if not index.exists():
            write_atomic(index, content)
        cached_bytes = self._room(root, index.name, PackIndex(content).total_bytes)
        write_atomic(self._note(folder), f"{root}\n{index.name}\n{cached_bytes}")
        return FoundPack(root, np.memmap(index, mode="r"), cached_bytes)

    def _room(self, root: S3Uri, index: str, size: int) -> int:
        """Return how much of the cache a pack gets: packs that push each other out would be fetched again and again."""
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
        """List what the packs of this run have of the cache, by the names of their indices."""
        notes = (note for note in self._folder.glob(f"*{_SUFFIX}") if note.stat().st_mtime >= self._since)
        lines = (note.read_text(encoding="utf-8").split("\n") for note in notes)
        return [(line[1], int(line[2])) for line in lines if len(line) == 3]

    def _note(self, folder: S3Uri) -> Path:
        name = _digest(f"{self._settings.endpoint_url or ''} {folder}".encode("utf-8", "surrogatepass"))
        return self._folder / f"{name}{_SUFFIX}"


def room_for(size: int, settings: S3Settings, taken: int = 0) -> bool:
    """Tell whether the cache has room for a pack beside what others have taken, all in bytes."""
    return taken + size <= _CACHE_SHARE * settings.cache_size_gb * 1e9


def _round_up(size_gb: float) -> float:
    """Two digits, since a size with more of them is no size to type."""
    unit = 10.0 ** (math.floor(math.log10(size_gb)) - 1)
    return math.ceil(size_gb / unit) * unit


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
