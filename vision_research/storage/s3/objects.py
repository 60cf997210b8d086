"""Objects through the disk cache: what the rest of the product reads."""

from __future__ import annotations

import os
import time
from functools import cache, partial
from pathlib import Path

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.pack_lookup import find_in_pack
from vision_research.storage.s3.packed import Pack
from vision_research.storage.s3.prefetch import Prefetcher
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings, hand_down_settings
from vision_research.storage.s3.uri import S3Uri

RUN_STARTED = "VISION_RESEARCH_RUN_STARTED"
"""Environment variable: Unix time, seconds, when the run began. What was confirmed since is not asked about again."""

_run_started = float(os.environ.get(RUN_STARTED, time.time()))


def begin_run(settings: S3Settings) -> None:
    """Say how S3 is reached, and that a run begins, to this process and to all that it starts from now on."""
    global _run_started
    hand_down_settings(settings)
    _run_started = time.time()
    os.environ[RUN_STARTED] = repr(_run_started)


class KeptObjects:
    """The short way to objects that this run has read before: by the address as it stands, and without a request.

    Args:
        settings: how S3 is reached.
        cache: of this machine.
    """

    def __init__(self, settings: S3Settings, cache: DiskCache) -> None:
        self._prefix = _cache_name("", settings)
        self._cache = cache

    def read(self, address: str) -> bytes | None:
        """Read an object; None where `read_object` has to, which also takes what was announced."""
        for prefetcher in _prefetchers.values():
            if prefetcher.coming:
                return None
        return self._cache.read_sealed(f"{self._prefix}{address}", _run_started)


def kept_objects(settings: S3Settings) -> KeptObjects | None:
    """Return the short way; None where there is no cache, or where images lie in packs."""
    cache = None if settings.packed else _cache_of(settings)
    return None if cache is None else KeptObjects(settings, cache)


def read_object(uri: S3Uri, settings: S3Settings) -> bytes:
    """Read an object: one that was announced as it comes in, another from the cache where that holds its version.

    Once in a run the server is asked whether a cached version is still the current one; its bytes are sent only if
    it is not.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server was away for too long.
        S3Error: it was refused.
    """
    prefetcher = _prefetchers.get(settings)
    coming = None if prefetcher is None else prefetcher.take(uri)
    return _read(uri, settings) if coming is None else coming


def read_current(uri: S3Uri, settings: S3Settings) -> bytes:
    """Read an object as it is now, past the cache: one that others change while we run.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server was away for too long.
    """
    return _body(fetch(uri, settings).body)


def prefetch_object(address: str, settings: S3Settings) -> bool:
    """Begin to read an object that this process will ask for, unless the cache has it; tell whether it had not."""
    uri = S3Uri.parse(address)
    if _is_kept(uri, settings):
        return False
    if settings not in _prefetchers:
        _prefetchers[settings] = Prefetcher(partial(_read, settings=settings))
    _prefetchers[settings].announce(uri)
    return True


def _is_kept(uri: S3Uri, settings: S3Settings) -> bool:
    kept = _cache_of(settings)
    if kept is None:
        return False
    packed = _packed(uri, settings, kept)
    if packed is not None:
        return packed[0].is_kept(packed[1])
    confirmed = kept.confirmed(_cache_name(uri, settings))
    return confirmed is not None and confirmed >= _run_started


def _read(uri: S3Uri, settings: S3Settings) -> bytes:
    kept = _cache_of(settings)
    packed = _packed(uri, settings, kept)
    if packed is not None:
        return packed[0].read(packed[1])
    return _body(fetch(uri, settings).body) if kept is None else _read_through(kept, uri, settings)


def _packed(uri: S3Uri, settings: S3Settings, kept: DiskCache | None) -> tuple[Pack, int] | None:
    return find_in_pack(uri, settings, kept, _run_started) if settings.packed else None


def _read_through(kept: DiskCache, uri: S3Uri, settings: S3Settings) -> bytes:
    name = _cache_name(uri, settings)
    body = kept.read_sealed(name, _run_started)
    if body is not None:
        return body
    entry = kept.read(name)
    if entry is not None and entry.confirmed >= _run_started:
        return entry.body
    fetched = fetch(uri, settings, etag=entry.etag if entry else None)
    if fetched.body is None:
        assert entry is not None
        kept.confirm(name, entry)
        return entry.body
    kept.write(name, fetched.body, fetched.etag)
    return fetched.body


_prefetchers: dict[S3Settings, Prefetcher] = {}
# A forked child has none of its parent's threads.
os.register_at_fork(after_in_child=_prefetchers.clear)


def _cache_name(uri: S3Uri | str, settings: S3Settings) -> str:
    return f"{settings.endpoint_url or ''} {uri}"


def _cache_of(settings: S3Settings) -> DiskCache | None:
    return None if settings.cache_dir is None else _cache(settings.cache_dir, settings.cache_size_gb)


@cache
def _cache(folder: str, size_gb: float) -> DiskCache:
    return DiskCache(Path(folder).expanduser(), int(size_gb * 1e9))


def _body(body: bytes | None) -> bytes:
    assert body is not None, "only a conditional request is answered without a body"
    return body
