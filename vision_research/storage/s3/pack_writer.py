"""Writes a pack: many small images in a few large objects, because requests cost more time and money than bytes."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vision_research.storage.s3.listing import list_folder
from vision_research.storage.s3.pack_format import FOLDER, IMAGES_PER_BLOCK, INDEX, NAMES, shard_name, write_index
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import remove, upload_bytes, upload_verified
from vision_research.storage.s3.uri import S3Uri

_READERS = 8


class PackWriter:
    """Writes one pack.

    Args:
        root: folder of the pack.
        settings: how S3 is reached.
        shard_bytes: size from which a shard is complete and uploaded.
        scratch: folder of this machine with room for one shard.
    """

    def __init__(self, root: S3Uri, settings: S3Settings, shard_bytes: int, scratch: Path) -> None:
        self._root = root
        self._settings = settings
        self._shard_bytes = shard_bytes
        self._shard = scratch / "shard"
        self._pack_id = uuid.uuid4().hex[:8]
        self._num_shards = 0
        self._entries: list[tuple[int, ...]] = []
        self._blocks: list[tuple[int, ...]] = []

    def write(self, names: Sequence[str], read: Callable[[str], bytes]) -> int:
        """Pack images, and return the number of shards. An older pack there stays valid until the new one is complete.

        Args:
            names: of the images, relative to the root of the data, as annotation files and prefixes name them.
            read: reads an image; called from several threads.

        Raises:
            OSError: an image cannot be read, or the scratch folder is full.
            S3Error: writing was refused, or the server did not answer in time.
        """
        sink = self._shard.open("wb")
        for bodies in _in_blocks(names, read):
            start = sink.tell()
            for body in bodies:
                self._entries.append((len(self._blocks), sink.tell(), len(body), zlib.crc32(body)))
                sink.write(body)
            first = len(self._entries) - len(bodies)
            self._blocks.append((self._num_shards, start, sink.tell(), first, len(bodies)))
            if sink.tell() >= self._shard_bytes:
                sink.close()
                self._upload()
                sink = self._shard.open("wb")
        left = sink.tell()
        sink.close()
        if left:
            self._upload()
        self._finish(names)
        return self._num_shards

    def _upload(self) -> None:
        upload_verified(self._shard, self._root.child(shard_name(self._pack_id, self._num_shards)), self._settings)
        self._num_shards += 1

    def _finish(self, names: Sequence[str]) -> None:
        lines = [f"{entry[2]} {name}\n" for name, entry in zip(names, self._entries, strict=True)]
        upload_bytes("".join(lines).encode("utf-8", "surrogatepass"), self._root.child(NAMES), self._settings)
        index = write_index(self._pack_id, names, self._entries, self._blocks)
        upload_bytes(index, self._root.child(INDEX), self._settings)
        folder = self._root.child(FOLDER)
        for entry in list(list_folder(folder, self._settings)):
            if entry.name.endswith(".shard") and not entry.name.startswith(self._pack_id):
                remove(folder.child(entry.name), self._settings)


def _in_blocks(names: Sequence[str], read: Callable[[str], bytes]) -> Iterator[list[bytes]]:
    with ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, len(names), IMAGES_PER_BLOCK):
            yield list(pool.map(read, names[first : first + IMAGES_PER_BLOCK]))
