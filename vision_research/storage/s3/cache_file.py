"""The layout of a file of the disk cache: a header with checksum and version, then the bytes of the object.

Computing the checksum takes as long as reading the file. A file that is known to be complete therefore has a *seal*:
its modification time in nanoseconds ends in the last digits of its size. Any other program that writes to the file
sets another modification time, which breaks the seal except in one case in a million. The checksum is computed for a
file without a seal (on a file system without nanoseconds: every file), and for one that was sealed before this run
began. So changes by other programs are detected at any time, and damage by a crash or a faulty disk in the next run.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
import zlib
from pathlib import Path
from typing import NamedTuple

# Magic, checksum of ETag and body, length of the ETag, the ETag padded with zeros.
_HEADER = struct.Struct(">4sIH118s")
_MAGIC = b"VRC2"
_ETAG_BYTES = 118
# The seal is in the digits of the modification time below a millisecond.
_SEAL_NS = 1_000_000


class Entry(NamedTuple):
    """A cached object.

    Attributes:
        body: its bytes.
        etag: ETag of their version.
        modified_ns: Unix time in nanoseconds when the file was written or sealed.
    """

    body: bytes
    etag: str
    modified_ns: int

    @property
    def confirmed(self) -> float:
        """Unix time in seconds when the server last confirmed that this version is the current one."""
        return self.modified_ns / 1e9


def encode(body: bytes, etag: str) -> bytes:
    """Return the content of a file: header and body.

    Args:
        body: bytes of the object.
        etag: ETag of its version. An unusually long one is left out, and the next run reads the object again.
    """
    tag = etag.encode() if len(etag.encode()) <= _ETAG_BYTES else b""
    return _HEADER.pack(_MAGIC, zlib.crc32(body, zlib.crc32(tag)), len(tag), tag) + body


def read_sealed(path: str, since: float) -> bytes | None:
    """Read the body of a file that was sealed in this run, and record that it was used.

    All images of a training come from here after its first epoch, so every additional line costs speed.

    Args:
        path: of the file.
        since: Unix time in seconds when the run began.

    Returns:
        The body; None if the file was not sealed in this run.

    Raises:
        OSError: the file is absent, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        size, modified_ns = status.st_size, status.st_mtime_ns
        if (modified_ns - size) % _SEAL_NS or modified_ns < since * 1e9 or size < _HEADER.size:
            return None
        body = os.pread(handle, size - _HEADER.size, _HEADER.size)
        _note_use(handle, modified_ns)
    finally:
        os.close(handle)
    return body


def read_whole(path: str) -> Entry | None:
    """Read a file, verify its checksum, and record its use; None if it is damaged, `OSError` if it is absent."""
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        head = os.pread(handle, _HEADER.size, 0)
        if len(head) < _HEADER.size:
            return None
        magic, checksum, length, tag = _HEADER.unpack(head)
        tag = tag[:length]
        body = os.pread(handle, status.st_size - _HEADER.size, _HEADER.size)
        if magic != _MAGIC or zlib.crc32(body, zlib.crc32(tag)) != checksum:
            return None
        _note_use(handle, status.st_mtime_ns)
    finally:
        os.close(handle)
    return Entry(body, tag.decode(), status.st_mtime_ns)


def seal(file: Path | int) -> None:
    """Seal a path or handle: its modification time becomes the latest one that ends in the digits of its size."""
    now = time.time_ns()
    size = os.stat(file).st_size  # noqa: PTH116  # of a handle too
    os.utime(file, ns=(now, now - (now - size) % _SEAL_NS))


def read_slice(path: str, start: int, stop: int) -> bytes:
    """Read a range of the body, without verifying the checksum, and record that the file was used.

    Args:
        path: of the file.
        start: first byte.
        stop: the byte after the last.

    Returns:
        The bytes; fewer if the file is truncated.

    Raises:
        OSError: the file is absent, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _note_use(handle, os.fstat(handle).st_mtime_ns)
        return os.pread(handle, stop - start, _HEADER.size + start)
    finally:
        os.close(handle)


def store(path: Path, content: bytes) -> int:
    """Write a file atomically; return by how many bytes the folder has grown.

    Args:
        path: of the file.
        content: as `encode` returned it.

    Raises:
        OSError: the disk is full, or cannot be written; an older file is unchanged.
    """
    path.parent.mkdir(exist_ok=True)
    replaced = path.stat().st_size if path.exists() else 0
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            seal(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(content) - replaced


def _note_use(handle: int, modified_ns: int) -> None:
    try:  # noqa: SIM105  # contextlib.suppress takes longer than what it would guard
        os.utime(handle, ns=(time.time_ns(), modified_ns))
    except OSError:
        pass
