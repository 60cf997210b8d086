"""Reads one object, or a range of its bytes, by one GET on a presigned address."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from vision_research.storage.s3.client import made_once, with_retries
from vision_research.storage.s3.errors import AnswerError, S3NotFoundError
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri


class Fetched(NamedTuple):
    """The answer to a GET.

    Attributes:
        body: bytes of the object; None if its version is still the one whose ETag was given.
        etag: ETag of its version.
    """

    body: bytes | None
    etag: str


def fetch(
    uri: S3Uri, settings: S3Settings, *, etag: str | None = None, byte_range: tuple[int, int] | None = None
) -> Fetched:
    """Read an object, or a range of its bytes.

    Args:
        uri: address of the object.
        settings: how S3 is reached.
        etag: ETag of the version that the caller already has; the server does not send that version again.
        byte_range: first byte, and the byte after the last; None reads all.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server did not answer in time.
        S3Error: the request was refused.
    """
    headers = {} if etag is None else {"If-None-Match": etag}
    if byte_range is not None:
        headers["Range"] = f"bytes={byte_range[0]}-{byte_range[1] - 1}"

    def get(client: Any) -> Fetched:
        # Signed for each request, because the credentials may have been renewed.
        address = presigned_address(client, uri)
        answer = made_once(_make_pool, settings).request("GET", address, headers=headers)
        if answer.status == 304 and etag is not None:
            return Fetched(None, etag)
        if answer.status not in (200, 206):
            raise AnswerError(answer.status, answer.data, answer.headers)
        return Fetched(answer.data, answer.headers.get("ETag", ""))

    return with_retries(get, "s3:GetObject", uri, settings)


def read_uncached(uri: S3Uri, settings: S3Settings, byte_range: tuple[int, int] | None = None) -> bytes:
    """Read the current version of an object, past the cache; for objects that others change during a run.

    Args:
        uri: address of the object.
        settings: how S3 is reached.
        byte_range: first byte, and the byte after the last; None reads all.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: the request was refused, or the server did not answer in time.
    """
    body = fetch(uri, settings, byte_range=byte_range).body
    assert body is not None, "only a request with an ETag is answered without a body"
    return body


def head(uri: S3Uri, settings: S3Settings) -> Any:
    """Ask for size, ETag and encryption of an object, as boto3 names them; None if there is no such object.

    Args:
        uri: address of the object.
        settings: how S3 is reached.
    """
    try:
        return with_retries(
            lambda client: client.head_object(Bucket=uri.bucket, Key=uri.key), "s3:GetObject", uri, settings
        )
    except S3NotFoundError:
        return None


def presigned_address(client: Any, uri: S3Uri, action: str = "get_object", expires_s: int = 3600) -> str:
    """Return an address that allows one action on an object without credentials.

    Args:
        client: the client of boto3 that signs it.
        uri: address of the object.
        action: name of boto3's method.
        expires_s: seconds for which the address is valid.
    """
    parameters = {"Bucket": uri.bucket, "Key": uri.key}
    address: str = client.generate_presigned_url(action, Params=parameters, ExpiresIn=expires_s)
    return address


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
