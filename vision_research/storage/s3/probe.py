"""Tests which actions are allowed at an address in S3 (list, read, write) and how fast they are, for the doctor."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median

from vision_research.config.errors import UserError
from vision_research.storage.s3.errors import S3DeniedError, S3Error
from vision_research.storage.s3.listing import list_folder
from vision_research.storage.s3.reader import read_uncached
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import remove, upload_bytes
from vision_research.storage.s3.uri import S3Uri

_SCRATCH_BYTES = 4_000_000
_LARGEST_READ_BYTES = 64_000_000
_NUM_LATENCIES = 7


@dataclass(frozen=True)
class ProbeResult:
    """The result of one action.

    Attributes:
        action: `list`, `read` or `write`.
        ok: whether it worked.
        found: how fast it was, or what failed and what to type.
    """

    action: str
    ok: bool
    found: str


def probe(address: str, settings: S3Settings) -> Iterator[ProbeResult]:
    """Try all actions on a folder, and remove what was written.

    Each action needs its own permission, so after a denied action the others are tried too. Any other failure ends the
    test: it would affect all actions, and some servers create a missing bucket when something is written to it.

    Args:
        address: `s3://BUCKET/KEY`, a folder.
        settings: how S3 is reached.
    """
    folder = S3Uri.parse(address)
    actions: dict[str, Callable[[S3Uri, S3Settings], str]] = {"list": _list, "read": _read, "write": _write}
    for action, attempt in actions.items():
        try:
            yield ProbeResult(action, True, attempt(folder, settings))
        except S3DeniedError as error:
            yield ProbeResult(action, False, str(error))
        except UserError as error:
            yield ProbeResult(action, False, str(error))
            return


def _list(folder: S3Uri, settings: S3Settings) -> str:
    started = time.perf_counter()
    count = sum(1 for _ in islice(list_folder(folder, settings, recursive=True), 1000))
    elapsed_ms = (time.perf_counter() - started) * 1000
    return f"{count}{' or more' if count == 1000 else ''} objects, the first page in {elapsed_ms:.0f} ms"


def _read(folder: S3Uri, settings: S3Settings) -> str:
    found = [entry for entry in islice(list_folder(folder, settings, recursive=True), 1000) if entry.size]
    if not found:
        return "no object to read is there"
    smallest = folder.child(min(found, key=lambda entry: entry.size).name)
    latencies = [_seconds(lambda: read_uncached(smallest, settings, (0, 1))) for _ in range(_NUM_LATENCIES)]
    fitting = [entry for entry in found if entry.size <= _LARGEST_READ_BYTES]
    largest = max(fitting or found[:1], key=lambda entry: entry.size)
    seconds = _seconds(lambda: read_uncached(folder.child(largest.name), settings))
    return (
        f"{median(latencies) * 1000:.1f} ms a request, {largest.size / 1e6 / seconds:.1f} MB/s over one connection "
        f"({largest.size / 1e6:.2f} MB)"
    )


def _write(folder: S3Uri, settings: S3Settings) -> str:
    scratch = folder.child(f".vision_research-doctor-{uuid.uuid4().hex}")
    content = os.urandom(_SCRATCH_BYTES)
    seconds = _seconds(lambda: upload_bytes(content, scratch, settings))
    try:
        if read_uncached(scratch, settings) != content:
            raise S3Error(f"{scratch} was read back with other bytes than were written: the server is ill.")
    finally:
        remove(scratch, settings)
    return f"{_SCRATCH_BYTES / 1e6 / seconds:.1f} MB/s, read back equal, removed"


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
