"""Reads objects: presigned addresses over pooled connections.

botocore signs; urllib3 fetches. A third of the processor time that `get_object` takes, which is what bounds the
reading of many small files. Owns one GET, whole and verified, or an error.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.errors import AnswerError, http_failure
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

_EXPIRES_S = 3600


@dataclass(frozen=True)
class Fetched:
    """An object as it came.

    Attributes:
        body: its bytes; None where it is still the one whose ETag was given.
        etag: of this version of it.
    """

    body: bytes | None
    etag: str


_pools: dict[S3Settings, Any] = {}
_lock = threading.Lock()


def _forget_pools() -> None:
    """A child that was forked opens connections of its own."""
    global _lock
    _pools.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_pools)


def fetch(
    uri: S3Uri, settings: S3Settings, *, etag: str | None = None, byte_range: tuple[int, int] | None = None
) -> Fetched:
    """Read an object, or a part of it.

    Args:
        uri: of the object.
        settings: how S3 is reached.
        etag: of the version that the caller has; its bytes are not sent again.
        byte_range: first byte, and the one after the last; None reads all.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server was away for too long.
        S3Error: it was refused.
    """
    headers = {} if etag is None else {"If-None-Match": etag}
    if byte_range is not None:
        headers["Range"] = f"bytes={byte_range[0]}-{byte_range[1] - 1}"

    def get() -> Fetched:
        answer = _pool(settings).request("GET", _address(uri, settings), headers=headers)
        if answer.status == 304 and etag is not None:
            return Fetched(None, etag)
        if answer.status not in (200, 206):
            raise AnswerError(http_failure(answer.status, answer.data, answer.headers))
        return Fetched(answer.data, answer.headers.get("ETag", ""))

    return persist(get, "s3:GetObject", uri, settings)


def _address(uri: S3Uri, settings: S3Settings) -> str:
    """The address of an object, signed anew each time, since credentials may have been renewed."""
    parameters = {"Bucket": uri.bucket, "Key": uri.key}
    address: str = s3_client(settings).generate_presigned_url("get_object", Params=parameters, ExpiresIn=_EXPIRES_S)
    return address


def _pool(settings: S3Settings) -> Any:
    with _lock:
        if settings not in _pools:
            _pools[settings] = _make_pool(settings)
        return _pools[settings]


def _make_pool(settings: S3Settings) -> Any:
    from botocore.httpsession import get_cert_path
    from urllib3 import PoolManager, Timeout

    connect_s, read_s = settings.timeouts_s
    return PoolManager(
        maxsize=settings.max_connections,
        timeout=Timeout(connect=connect_s, read=read_s),
        # `persist` makes a request again, and knows for how long; a redirect would lose the signature.
        retries=False,
        # What botocore trusts: AWS_CA_BUNDLE, else the authorities it brings.
        ca_certs=os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True),
    )
