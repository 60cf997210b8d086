"""One file of the disk cache: what is in it, and that it is whole under its name or not there.

A header with a checksum and the version, then the bytes. Owns the layout; which files there are is decided elsewhere.

To compute the checksum takes as long as to read the file, so one that is known to be whole carries a seal: its
modification time ends in the last digits of its size. Whoever writes to the file gives it a time of its own, and breaks
the seal but for one case in a million. Then the checksum is computed, and it is computed for all that was sealed before
this run began. So a run trusts the disk with what it wrote or checked itself, as it does with images that lie on the
disk, and finds out what a program did to a file at any time, and what a crash or a disk that forgets did before this
run. A file system that keeps no nanoseconds keeps no seal: there every checksum is computed.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
import zlib
from pathlib import Path
from typing import NamedTuple

# Magic, checksum of what follows, length of the ETag; the ETag and zeros behind it make it as long as it is.
_HEADER = struct.Struct(">4sIH118s")
_MAGIC = b"VRC2"
_ETAG_BYTES = 118
# Of modification times, the digits that are the seal: below a millisecond.
_SEAL_NS = 1_000_000


class Entry(NamedTuple):
    """A cached object.

    Attributes:
        body: its bytes.
        etag: of the version that they are.
        modified_ns: Unix time, nanoseconds, when the file was written or sealed.
    """

    body: bytes
    etag: str
    modified_ns: int

    @property
    def confirmed(self) -> float:
        """Unix time, seconds, when the server last said that this version is the current one."""
        return self.modified_ns / 1e9


def encode(body: bytes, etag: str) -> bytes:
    """Return the content of a file. An ETag that is longer than they are is left out; the next run fetches anew."""
    tag = etag.encode() if len(etag.encode()) <= _ETAG_BYTES else b""
    return _HEADER.pack(_MAGIC, zlib.crc32(body, zlib.crc32(tag)), len(tag), tag) + body


def read_sealed(path: str, since: float) -> bytes | None:
    """Read the body of a file, and note that it was used; None where it was not sealed in this run.

    This is where a training's images come from after its first epoch: a line more here is seen in its speed.

    Args:
        path: of the file.
        since: Unix time, seconds, when the run began.

    Raises:
        OSError: it is not there, or cannot be read.
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
    """Read a file, compute its checksum, and note that it was used; None where it is damaged.

    Raises:
        OSError: it is not there, or cannot be read.
    """
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
    """Note that a file is whole and the current version: by the latest time that ends in the digits of its size.

    Args:
        file: path or handle.
    """
    now = time.time_ns()
    size = os.stat(file).st_size  # noqa: PTH116  # of a handle too
    os.utime(file, ns=(now, now - (now - size) % _SEAL_NS))


def read_slice(path: str, start: int, stop: int) -> bytes:
    """Read some bytes of the body without the rest, and hence without the checksum; fewer where the file is cut off.

    It is noted that the file was used.

    Raises:
        OSError: the file is not there, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _note_use(handle, os.fstat(handle).st_mtime_ns)
        return os.pread(handle, stop - start, _HEADER.size + start)
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
