"""Fetches objects before they are asked for, on a few threads of this process.

Owns the threads and what they have fetched and nobody has taken yet; how an object is read is the caller's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from vision_research.storage.s3.uri import S3Uri

# More hide no more latency: the processor time of a request bounds them first.
_MAX_THREADS = 16
# Objects that are announced and never taken (a loader that stops in the middle of an epoch) must not add up.
_MAX_WAITING = 1024
_MAX_HELD_BYTES = 256_000_000


class Prefetcher:
    """Objects on their way to one process.

    Args:
        read: reads an object, whole.
        num_threads: requests at once.

    Attributes:
        coming: what is under way, or has come and waits to be taken.
    """

    def __init__(self, read: Callable[[S3Uri], bytes], num_threads: int = _MAX_THREADS) -> None:
        self._read = read
        self._num_threads = num_threads
        self.coming: OrderedDict[S3Uri, Future[bytes]] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[S3Uri, Future[bytes]]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def announce(self, uri: S3Uri) -> None:
        """Begin to fetch an object, unless it is under way, or much waits to be taken already."""
        if uri in self.coming or self._held_bytes > _MAX_HELD_BYTES:
            return
        if len(self.coming) >= _MAX_WAITING:
            self._drop(next(iter(self.coming)))
        if len(self._threads) < self._num_threads:
            self._start_thread()
        future: Future[bytes] = Future()
        self.coming[uri] = future
        self._queue.put((uri, future))

    def take(self, uri: S3Uri) -> bytes | None:
        """Return an object that was announced, once it is there; None if it was not, or was taken.

        Raises:
            S3Error: as reading it raises.
        """
        future = self._drop(uri)
        return None if future is None else future.result()

    def _drop(self, uri: S3Uri) -> Future[bytes] | None:
        with self._lock:
            future = self.coming.pop(uri, None)
            if future is not None and future.done() and future.exception() is None:
                self._held_bytes -= len(future.result())
        return future

    def _start_thread(self) -> None:
        # Daemons: a loader worker that ends must not wait for a server that is away.
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
                if uri in self.coming:
                    self._held_bytes += len(body)
                future.set_result(body)
            del body, future
