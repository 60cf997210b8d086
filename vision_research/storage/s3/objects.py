"""Objects through the disk cache: what the rest of the product reads."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings, hand_down_settings
from vision_research.storage.s3.uri import S3Uri

RUN_STARTED = "VISION_RESEARCH_RUN_STARTED"
"""Environment variable: Unix time, seconds, when the run began. What was confirmed since is not asked about again."""

_imported = time.time()


def begin_run(settings: S3Settings) -> None:
    """Say how S3 is reached, and that a run begins, to this process and to all that it starts from now on."""
    hand_down_settings(settings)
    os.environ[RUN_STARTED] = repr(time.time())


def read_object(uri: S3Uri, settings: S3Settings) -> bytes:
    """Read an object, from the cache where it holds the current version.

    Once in a run the server is asked whether a cached version is still the current one; its bytes are sent only if
    it is not.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server was away for too long.
        S3Error: it was refused.
    """
    if settings.cache_dir is None:
        return _body(fetch(uri, settings).body)
    kept = _cache(settings.cache_dir, settings.cache_size_gb)
    name = f"{settings.endpoint_url or ''} {uri}"
    entry = kept.read(name)
    if entry is not None and entry.confirmed >= _run_started():
        return entry.body
    fetched = fetch(uri, settings, etag=entry.etag if entry else None)
    if fetched.body is None:
        assert entry is not None
        kept.confirm(name)
        return entry.body
    kept.write(name, fetched.body, fetched.etag)
    return fetched.body


@cache
def _cache(folder: str, size_gb: float) -> DiskCache:
    return DiskCache(Path(folder).expanduser(), int(size_gb * 1e9))


def _run_started() -> float:
    return float(os.environ.get(RUN_STARTED, _imported))


def _body(body: bytes | None) -> bytes:
    assert body is not None, "only a conditional request is answered without a body"
    return body
