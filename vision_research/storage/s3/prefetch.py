"""Reads objects before they are needed, on a few threads of this process.

Owns the threads, and the objects that were read and not taken yet. The caller decides how an object is read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from vision_research.storage.s3.uri import S3Uri

# More threads hide no more latency: the processor time of a request is the limit before that.
_MAX_THREADS = 16
# Bounds for objects that are never taken, because a loader stopped in the middle of an epoch.
_MAX_PENDING = 1024
_MAX_HELD_BYTES = 256_000_000


class Prefetcher:
    """Reads objects ahead for one process.

    Args:
        read: reads a whole object.
        num_threads: requests at once.

    Attributes:
        pending: objects that are being read, or were read and not taken yet.
    """

    def __init__(self, read: Callable[[S3Uri], bytes], num_threads: int = _MAX_THREADS) -> None:
        self._read = read
        self._num_threads = num_threads
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
        if len(self._threads) < self._num_threads:
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
