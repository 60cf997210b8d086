"""A loopback proxy before an S3 server that counts requests, adds latency, and does harm when asked to."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from enum import Enum
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to a request."""

    none = "none"
    unavailable = "unavailable"  # 503 SlowDown
    expired = "expired"  # 400 ExpiredToken
    denied = "denied"  # 403 AccessDenied
    skewed = "skewed"  # 403 RequestTimeTooSkewed: the clocks differ by more than 15 minutes
    elsewhere = "elsewhere"  # 400 AuthorizationHeaderMalformed, with the bucket's region
    cut = "cut"  # the body ends halfway, and the connection with it
    silent = "silent"  # no byte ever comes


_REFUSALS = {
    Fault.unavailable: (503, "SlowDown"),
    Fault.expired: (400, "ExpiredToken"),
    Fault.denied: (403, "AccessDenied"),
    Fault.skewed: (403, "RequestTimeTooSkewed"),
    Fault.elsewhere: (400, "AuthorizationHeaderMalformed"),
}


class S3Proxy:
    """Serves on a free port, from a thread of its own, until the block ends.

    Attributes:
        endpoint: its address.
        latency_s: added before each answer.
        fault: decides by method and path what happens to a request.
        requests: how many of each method came, those that failed among them.
        body_bytes: of answers to GET requests.
    """

    def __init__(self, upstream: str, latency_s: float = 0.0) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        self._upstream = (parts.hostname, parts.port)
        self.latency_s = latency_s
        self.fault: Callable[[str, str], Fault] = lambda method, path: Fault.none
        self.requests: Counter[str] = Counter()
        self.body_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256))
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> S3Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Count anew."""
        self.requests, self.body_bytes = Counter(), 0

    async def _close(self) -> None:
        self._server.close()
        open_connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head, body = await _message(client)
                method, path = head.split(b" ", 2)[:2]
                self.requests[method.decode()] += 1
                fault = self.fault(method.decode(), path.decode())
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if fault is Fault.silent:
                    await asyncio.sleep(3600)
                if fault in _REFUSALS:
                    answers.write(_refusal(*_REFUSALS[fault]))
                    continue
                upstream = upstream or await asyncio.open_connection(*self._upstream)
                if b"100-continue" in head.lower():
                    head = head.replace(b"Expect: 100-continue\r\n", b"")
                upstream[1].write(head + body)
                head, body = await _message(upstream[0], answers_to=method)
                if method == b"GET":
                    self.body_bytes += len(body)
                if fault is Fault.cut:
                    answers.write(head + body[: len(body) // 2])
                    break
                answers.write(head + body)
                await answers.drain()
        for writer in (answers, *(upstream or ())[1:]):
            writer.close()


async def _message(reader: asyncio.StreamReader, answers_to: bytes | None = None) -> tuple[bytes, bytes]:
    """Read one request or answer: its head, and its body as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return await _message(reader, answers_to)
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
    }
    if answers_to == b"HEAD" or head[9:12] in (b"204", b"304"):
        return head, b""
    if fields.get(b"transfer-encoding") == b"chunked":
        return head, await _chunks(reader)
    return head, await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.split(b";")[0], 16)
        chunks.append(size + await reader.readexactly(length + 2))
        if length == 0:
            return b"".join(chunks)


def _refusal(status: int, code: str) -> bytes:
    text = f"<Code>{code}</Code><Message>as the test asked</Message><Region>eu-south-2</Region>"
    body = f"<Error>{text}</Error>".encode()
    return f"HTTP/1.1 {status} {code}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
