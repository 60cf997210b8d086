"""Reads objects through packs, prefetching and the disk cache: what the rest of the package reads S3 with."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue

from vision_research.storage.s3.cache import DiskCache
from vision_research.storage.s3.pack_lookup import Pack, find_in_pack
from vision_research.storage.s3.reader import fetch, read_uncached
from vision_research.storage.s3.settings import S3Settings, hand_down_settings
from vision_research.storage.s3.uri import S3Uri

RUN_STARTED = "VISION_RESEARCH_RUN_STARTED"
"""Environment variable: Unix time in seconds when the run began. An object confirmed since then is not asked for."""

_run_started = float(os.environ.get(RUN_STARTED, time.time()))

# More threads hide no more latency: the processor time of a request is the limit before that.
_MAX_THREADS = 16
# Bounds for objects that are never taken, because a loader stopped in the middle of an epoch.
_MAX_PENDING = 1024
_MAX_HELD_BYTES = 256_000_000


def begin_run(settings: S3Settings) -> None:
    """Set the settings of S3 and the start of a run, for this process and its future child processes."""
    global _run_started
    hand_down_settings(settings)
    _run_started = time.time()
    os.environ[RUN_STARTED] = repr(_run_started)


class ConfirmedObjects:
    """Reads objects that this run has read before from the disk cache, without a request; none of images in packs.

    Args:
        settings: how S3 is reached.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._prefix = settings.name_of("")
        self._cache = None if settings.packed else _cache_of(settings)

    def read(self, address: str) -> bytes | None:
        """Read an object; None if `read_object` has to read it, which also takes prefetched objects."""
        if self._cache is None or any(prefetcher.pending for prefetcher in _prefetchers.values()):
            return None
        return self._cache.read_sealed(f"{self._prefix}{address}", _run_started)


def read_object(uri: S3Uri, settings: S3Settings) -> bytes:
    """Read an object: a prefetched one, or one from the cache, or else from S3.

    For a cached object the server is asked once per run whether its version is still the current one. It sends the
    bytes only if it is not.

    Args:
        uri: address of the object.
        settings: how S3 is reached.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server did not answer in time.
        S3Error: the request was refused.
    """
    prefetcher = _prefetchers.get(settings)
    prefetched = None if prefetcher is None else prefetcher.take(uri)
    return _read(uri, settings) if prefetched is None else prefetched


def prefetch_object(address: str, settings: S3Settings) -> bool:
    """Start to read an object that this process will need, and return True; False if the cache has its current version.

    Args:
        address: `s3://BUCKET/KEY`.
        settings: how S3 is reached.
    """
    uri = S3Uri.parse(address)
    if _is_cached(uri, settings):
        return False
    if settings not in _prefetchers:
        _prefetchers[settings] = _Prefetcher(partial(_read, settings=settings))
    _prefetchers[settings].start(uri)
    return True


def _is_cached(uri: S3Uri, settings: S3Settings) -> bool:
    cache = _cache_of(settings)
    if cache is None:
        return False
    packed = _find_in_pack(uri, settings, cache)
    if packed is not None:
        return packed[0].is_cached(packed[1])
    confirmed = cache.confirmed(settings.name_of(uri))
    return confirmed is not None and confirmed >= _run_started


def _read(uri: S3Uri, settings: S3Settings) -> bytes:
    cache = _cache_of(settings)
    packed = _find_in_pack(uri, settings, cache)
    if packed is not None:
        return packed[0].read(packed[1])
    return read_uncached(uri, settings) if cache is None else _read_through(cache, uri, settings)


def _find_in_pack(uri: S3Uri, settings: S3Settings, cache: DiskCache | None) -> tuple[Pack, int] | None:
    return find_in_pack(uri, settings, cache, _run_started) if settings.packed else None


def _read_through(cache: DiskCache, uri: S3Uri, settings: S3Settings) -> bytes:
    name = settings.name_of(uri)
    body = cache.read_sealed(name, _run_started)
    if body is not None:
        return body
    entry = cache.read(name)
    if entry is not None and entry.confirmed >= _run_started:
        return entry.body
    fetched = fetch(uri, settings, etag=entry.etag if entry else None)
    if fetched.body is None:
        assert entry is not None
        cache.confirm(name, entry)
        return entry.body
    cache.write(name, fetched.body, fetched.etag)
    return fetched.body


class _Prefetcher:
    """Reads objects ahead for one process.

    Args:
        read: reads a whole object.

    Attributes:
        pending: objects that are being read, or were read and not taken yet.
    """

    def __init__(self, read: Callable[[S3Uri], bytes]) -> None:
        self._read = read
        self.pending: OrderedDict[S3Uri, Future[bytes]] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[S3Uri, Future[bytes]]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, uri: S3Uri) -> None:
        """Start to read an object, unless it is pending already, or too many bytes wait to be taken."""
        if uri in self.pending or self._held_bytes > _MAX_HELD_BYTES:
            return
        if len(self.pending) >= _MAX_PENDING:
            self._drop(next(iter(self.pending)))
        if len(self._threads) < _MAX_THREADS:
            self._start_thread()
        future: Future[bytes] = Future()
        self.pending[uri] = future
        self._queue.put((uri, future))

    def take(self, uri: S3Uri) -> bytes | None:
        """Return a pending object, or raise what `read` raised, as soon as it was read; None if it is not pending."""
        future = self._drop(uri)
        return None if future is None else future.result()

    def _drop(self, uri: S3Uri) -> Future[bytes] | None:
        with self._lock:
            future = self.pending.pop(uri, None)
            if future is not None and future.done() and future.exception() is None:
                self._held_bytes -= len(future.result())
        return future

    def _start_thread(self) -> None:
        # Daemons, so that a loader worker can end while a server does not answer.
        thread = threading.Thread(target=self._work, name="s3-prefetch", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while True:
            uri, future = self._queue.get()
            try:
                body = self._read(uri)
            except BaseException as error:
                future.set_exception(error)
                continue
            with self._lock:
                if uri in self.pending:
                    self._held_bytes += len(body)
                future.set_result(body)
            del body, future


_prefetchers: dict[S3Settings, _Prefetcher] = {}
# A forked child has no threads of its parent.
os.register_at_fork(after_in_child=_prefetchers.clear)


def _cache_of(settings: S3Settings) -> DiskCache | None:
    return None if settings.cache_dir is None else _open_cache(settings.cache_dir, settings.cache_size_gb)


@cache
def _open_cache(folder: str, size_gb: float) -> DiskCache:
    return DiskCache(Path(folder).expanduser(), int(size_gb * 1e9))
