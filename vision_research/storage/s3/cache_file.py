"""One file of the disk cache: what is in it, and that it is whole under its name or not there.

A header with a checksum and the version, then the bytes. Owns the layout; which files there are is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

# Magic, checksum of what follows, length of the ETag.
_HEADER = struct.Struct(">4sIH")
_MAGIC = b"VRC1"
# Of the header with the ETag behind it, as long as ETags are.
_HEAD_BYTES = 128


@dataclass(frozen=True)
class Entry:
    """A cached object.

    Attributes:
        body: its bytes.
        etag: of the version that they are.
        confirmed: Unix time, seconds, when the server last said that this version is the current one.
    """

    body: bytes
    etag: str
    confirmed: float


def encode(body: bytes, etag: str) -> bytes:
    """Return the content of a file."""
    tag = etag.encode()
    return _HEADER.pack(_MAGIC, zlib.crc32(body, zlib.crc32(tag)), len(tag)) + tag + body


def read_whole(path: Path) -> Entry | None:
    """Read a file, and note that it was used; None where it is damaged.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        head = os.pread(handle, _HEAD_BYTES, 0)
        if len(head) < _HEADER.size:
            return None
        magic, checksum, length = _HEADER.unpack_from(head)
        start = _HEADER.size + length
        tag = head[_HEADER.size : start] if start <= len(head) else os.pread(handle, length, _HEADER.size)
        body = os.pread(handle, max(status.st_size - start, 0), start)
        if magic != _MAGIC or len(tag) != length or zlib.crc32(body, zlib.crc32(tag)) != checksum:
            return None
        with contextlib.suppress(OSError):
            os.utime(handle, (time.time(), status.st_mtime))
    finally:
        os.close(handle)
    return Entry(body, tag.decode(), status.st_mtime)


def read_slice(path: Path, start: int, stop: int) -> bytes:
    """Read some bytes of the body without the rest, and hence without the checksum; fewer where the file is cut off.

    Raises:
        OSError: the file is not there, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        header = os.pread(handle, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return b""
        body = _HEADER.size + _HEADER.unpack(header)[2]
        return os.pread(handle, stop - start, body + start)
    finally:
        os.close(handle)


def store(path: Path, content: bytes) -> int:
    """Write a file; return by how many bytes the folder has grown.

    Raises:
        OSError: the disk is full, or cannot be written; what was there stays.
    """
    path.parent.mkdir(exist_ok=True)
    replaced = path.stat().st_size if path.exists() else 0
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(content) - replaced
