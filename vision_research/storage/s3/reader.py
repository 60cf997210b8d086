"""Reads one object, or a range of its bytes, by one GET on a presigned address.

botocore signs the address and urllib3 fetches it. This takes a third of the processor time of `get_object`, and the
processor limits how fast many small files are read.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

from vision_research.storage.s3.client import s3_client, with_retries
from vision_research.storage.s3.errors import AnswerError, http_failure
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

_EXPIRES_S = 3600


@dataclass(frozen=True)
class Fetched:
    """The answer to a GET.

    Attributes:
        body: bytes of the object; None if its version is still the one whose ETag was given.
        etag: ETag of its version.
    """

    body: bytes | None
    etag: str


_pools: dict[S3Settings, Any] = {}
_lock = threading.Lock()


def _forget_pools() -> None:
    """Drop the parent's connections in a forked child, which opens its own."""
    global _lock
    _pools.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_pools)


def fetch(
    uri: S3Uri, settings: S3Settings, *, etag: str | None = None, byte_range: tuple[int, int] | None = None
) -> Fetched:
    """Read an object, or a range of its bytes.

    Args:
        uri: address of the object.
        settings: how S3 is reached.
        etag: ETag of the version that the caller already has; the server does not send that version again.
        byte_range: first byte, and the byte after the last; None reads all.

    Returns:
        The bytes and the ETag.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server did not answer in time.
        S3Error: the request was refused.
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

    return with_retries(get, "s3:GetObject", uri, settings)


def _address(uri: S3Uri, settings: S3Settings) -> str:
    """Return a presigned address, signed for each request because the credentials may have been renewed."""
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
        # `with_retries` repeats requests, for as long as is allowed; a redirect would lose the signature.
        retries=False,
        # The certificate authorities that botocore trusts: AWS_CA_BUNDLE, or else its own list.
        ca_certs=os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True),
    )
