"""The layout of a pack: images in shards of a few hundred MB, which consist of blocks that are read by one request.

    ROOT/annotations/train.json          unchanged annotation files
    ROOT/pack/index.bin                  position of each image; it is written last and completes the pack
    ROOT/pack/names.txt                  one line per image, in the order of the entries: size in bytes, and name
    ROOT/pack/ID-00000.shard             the bytes of the images, one after the other

The index stores 64-bit digests instead of names, and takes 33 bytes per image. This module makes no request.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

FOLDER = "pack"
INDEX = f"{FOLDER}/index.bin"
NAMES = f"{FOLDER}/names.txt"
IMAGES_PER_BLOCK = 64

# Magic, id of the pack, entries, blocks.
_HEADER = struct.Struct("<8s8sQQ")
_MAGIC = b"VRPACK2\0"
# The sorted digests come first, in a column of their own. NumPy would copy a column of a structured array before each
# search, which takes 2 ms per million images.
_DIGEST = np.dtype("<u8")
_NUMBER = np.dtype("<u4")
_ENTRY = np.dtype([("block", "<u4"), ("offset", "<u8"), ("size", "<u4"), ("crc", "<u4")])
_BLOCK = np.dtype([("shard", "<u4"), ("start", "<u8"), ("stop", "<u8"), ("first", "<u4"), ("count", "<u4")])
_COLUMNS: tuple[np.dtype[Any], ...] = (_DIGEST, _NUMBER, _ENTRY, _BLOCK)


def digest_of(name: str) -> int:
    """Return the 64-bit digest of a name, as the index stores it."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def shard_name(pack_id: str, number: int) -> str:
    """Return the name of a shard, relative to the root of its pack.

    Args:
        pack_id: eight characters.
        number: of the shard, from 0 on.
    """
    return f"{FOLDER}/{pack_id}-{number:05}.shard"


class PackIndex:
    """The positions of the images in a pack.

    Args:
        content: of `index.bin`, as bytes or as a memory map.

    Attributes:
        pack_id: eight characters that change whenever the data is packed again.
        total_bytes: size of all images together.

    Raises:
        ValueError: it is not an index, or it is truncated.
    """

    def __init__(self, content: Any) -> None:
        view = memoryview(content)
        if len(view) < _HEADER.size:
            raise ValueError("it is cut off")
        magic, pack_id, num_entries, num_blocks = _HEADER.unpack_from(view)
        counts = (num_entries, num_entries, num_entries, num_blocks)
        sizes = [dtype.itemsize * count for dtype, count in zip(_COLUMNS, counts, strict=True)]
        starts = list(accumulate(sizes, initial=_HEADER.size))
        if magic != _MAGIC or len(view) != starts[-1]:
            raise ValueError("it is of another kind, or cut off")
        self.pack_id = pack_id.decode()
        self._digests: Any = np.frombuffer(view, _DIGEST, counts[0], starts[0])
        self._numbers: Any = np.frombuffer(view, _NUMBER, counts[1], starts[1])
        self._entries: Any = np.frombuffer(view, _ENTRY, counts[2], starts[2])
        self._blocks: Any = np.frombuffer(view, _BLOCK, counts[3], starts[3])
        self.total_bytes = int(self._entries["size"].sum(dtype=np.int64))

    def find(self, name: str) -> int | None:
        """Return the number of an image's entry; None if there is no such image."""
        digest = np.uint64(digest_of(name))
        place = int(np.searchsorted(self._digests, digest))
        if place == len(self._digests) or self._digests[place] != digest:
            return None
        return int(self._numbers[place])

    def entry(self, number: int) -> tuple[int, int, int, int]:
        """Return the block of an image, its offset in the shard in bytes, its size in bytes, and its CRC-32."""
        block, offset, size, crc = self._entries[number]
        return int(block), int(offset), int(size), int(crc)

    def block(self, number: int) -> tuple[int, int, int, range]:
        """Return the shard of a block, its first byte, the byte after its last, and its entries."""
        shard, start, stop, first, count = self._blocks[number]
        return int(shard), int(start), int(stop), range(int(first), int(first) + int(count))


def write_index(
    pack_id: str, names: Sequence[str], entries: Sequence[tuple[int, ...]], blocks: Sequence[tuple[int, ...]]
) -> bytes:
    """Return the content of `index.bin`.

    Args:
        pack_id: eight characters.
        names: of the images, in the order of the entries.
        entries: as `PackIndex.entry` returns them.
        blocks: shard, first byte, the byte after the last, first entry, number of entries.

    Raises:
        ValueError: two names have the same digest.
    """
    digests = np.array([digest_of(name) for name in names], _DIGEST)
    if len(np.unique(digests)) != len(names):
        raise ValueError("two images have one name")
    order = np.argsort(digests)
    header = _HEADER.pack(_MAGIC, pack_id.encode(), len(entries), len(blocks))
    parts = (digests[order], order.astype(_NUMBER), np.array(entries, _ENTRY), np.array(blocks, _BLOCK))
    return header + b"".join(part.tobytes() for part in parts)
