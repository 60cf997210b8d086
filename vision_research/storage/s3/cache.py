"""The disk cache: a folder with one file per object, shared by all ranks and loader workers of a machine.

Owns the files and the bound on their size; the least recently used files are removed first. Knows nothing of S3.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vision_research.storage.s3.cache_file import Entry, encode, read_sealed, read_slice, read_whole, seal, store

logger = logging.getLogger(__name__)

_EVICT_TO = 0.9
_STALE_TEMPORARY_S = 3600
_RETRY_WRITING_S = 60.0
# Length of the names of folders with entries. Locks and the notes on packs are in folders with longer names.
_FOLDER_NAME_LENGTH = 2


class DiskCache:
    """The cache of a machine.

    Args:
        folder: made when needed.
        max_bytes: bound on the size of all files together, which holds while several processes write.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._prefix = f"{folder}/"
        self._max_bytes = max_bytes
        self._no_writing_until = 0.0
        self._warned = False

    def read_sealed(self, name: str, since: float) -> bytes | None:
        """Read an object whose file was written or verified in this run; None if there is no such file.

        Args:
            name: address of the object, any text.
            since: Unix time in seconds when the run began.
        """
        try:
            return read_sealed(self._path(name), since)
        except OSError:
            return None  # the caller calls `read` next, which reports the problem

    def read(self, name: str) -> Entry | None:
        """Read an object; None if it is absent, or its file is damaged. A damaged file is removed."""
        try:
            entry = read_whole(self._path(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None
        if entry is None:
            self.drop_damaged(name)
        return entry

    def read_slice(self, name: str, start: int, stop: int) -> bytes | None:
        """Read a range of bytes of an object; None if the object is absent.

        The checksum in the file covers the whole object. The caller needs a checksum of the range, and calls
        `drop_damaged` if it does not match.

        Args:
            name: address of the object, any text.
            start: first byte.
            stop: the byte after the last.
        """
        try:
            return read_slice(self._path(name), start, stop)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None

    def drop_damaged(self, name: str) -> None:
        """Remove an object whose file is damaged."""
        path = Path(self._path(name))
        logger.warning("%s is damaged; %s is read again.", path, name)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def confirmed(self, name: str) -> float | None:
        """Return when the cached version was last known to be the current one; None if the object is absent."""
        try:
            return os.stat(self._path(name)).st_mtime  # noqa: PTH116  # making a Path takes as long as the call
        except OSError:
            return None

    @property
    def is_writable(self) -> bool:
        """Whether writing is tried: after a failure it is not, for a minute."""
        return time.monotonic() >= self._no_writing_until

    def write(self, name: str, body: bytes, etag: str) -> None:
        """Store an object. If the disk is full or read-only, warn once and do not store it.

        Args:
            name: address of the object.
            body: its bytes.
            etag: ETag of this version.
        """
        content = encode(body, etag)
        if len(content) > self._max_bytes or not self.is_writable:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._size() as size:
                if size.value + len(content) > self._max_bytes:
                    size.value = self._evict(int(_EVICT_TO * self._max_bytes) - len(content))
                size.value += store(Path(self._path(name)), content)
        except OSError as error:
            self.give_up_writing(error)

    def give_up_writing(self, error: OSError) -> None:
        """Stop writing for a minute after an error of the disk; only the first error is reported."""
        self._no_writing_until = time.monotonic() + _RETRY_WRITING_S
        self._warn(error)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of this file name, shared by all processes of a machine; a disk without locks locks nothing."""
        with contextlib.ExitStack() as stack:
            try:
                folder = self._folder / "locks"
                folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((folder / name).open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                self.give_up_writing(error)
            yield

    def confirm(self, name: str, entry: Entry) -> None:
        """Record that the cached version is still the current one.

        Args:
            name: address of the object.
            entry: as it was read; if the file has changed since then, nothing is recorded.
        """
        path = Path(self._path(name))
        with contextlib.suppress(OSError):
            if path.stat().st_mtime_ns == entry.modified_ns:
                seal(path)

    def _path(self, name: str) -> str:
        # Between the decoding of two images OpenSSL's SHA-256 takes 20 microseconds, and blake2b 2.
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        return f"{self._prefix}{digest[:_FOLDER_NAME_LENGTH]}/{digest[_FOLDER_NAME_LENGTH:]}"

    @contextlib.contextmanager
    def _size(self) -> Iterator[_Size]:
        """Lock and yield the number of bytes in the cache, so that two writers together do not exceed the bound."""
        handle = os.open(self._folder / "size", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            noted = os.pread(handle, 32, 0)
            size = _Size(int(noted) if noted.strip().isdigit() else sum(file.size for file in self._files()))
            yield size
            os.pwrite(handle, f"{max(size.value, 0):<32}".encode(), 0)
        finally:
            os.close(handle)

    def _evict(self, wanted: int) -> int:
        """Remove the least recently used files until at most `wanted` bytes are left; return how many are left.

        This counts all files again, which also corrects the count after a process was killed.
        """
        files = sorted(self._files(), key=lambda file: file.used)
        total = sum(file.size for file in files)
        for file in files:
            if total <= wanted:
                break
            file.path.unlink(missing_ok=True)
            total -= file.size
        return total

    def _files(self) -> Iterator[_File]:
        for folder in os.scandir(self._folder):
            if len(folder.name) != _FOLDER_NAME_LENGTH or not folder.is_dir():
                continue
            for item in os.scandir(folder):
                with contextlib.suppress(FileNotFoundError):
                    status = item.stat()
                    if item.name.startswith(".") and time.time() - status.st_mtime > _STALE_TEMPORARY_S:
                        Path(item.path).unlink()
                        continue
                    yield _File(Path(item.path), status.st_size, status.st_atime)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            logger.warning("The cache in %s cannot be used (%s); going on without it.", self._folder, error.strerror)
        self._warned = True


@dataclass
class _Size:
    value: int


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    used: float
