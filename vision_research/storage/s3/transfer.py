"""Transfers whole objects: uploads, downloads, copies within S3, and removal."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from vision_research.storage.s3.client import s3_client, with_retries
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

PART_BYTES = 16 * 1024 * 1024
"""Size of a part of an upload. S3 accepts 10,000 parts, so an object may have up to 160 GB."""


def upload_bytes(content: bytes, uri: S3Uri, settings: S3Settings) -> None:
    """Write an object, a large one in parts. Each part is sent with a checksum that the server verifies.

    Args:
        content: all bytes of the object.
        uri: address of the object.
        settings: how S3 is reached.

    Raises:
        S3Error: it was refused, or the server did not answer in time. An older object of that key is unchanged.
    """
    with_retries(
        lambda: s3_client(settings).upload_fileobj(io.BytesIO(content), uri.bucket, uri.key, Config=_transfer()),
        "s3:PutObject",
        uri,
        settings,
    )


def upload(path: Path, uri: S3Uri, settings: S3Settings) -> None:
    """Upload a file as `upload_bytes` does, without reading all of it into memory.

    Args:
        path: the file.
        uri: address of the object.
        settings: how S3 is reached.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, or the server did not answer in time.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with_retries(
        lambda: s3_client(settings).upload_file(str(path), uri.bucket, uri.key, Config=_transfer()),
        "s3:PutObject",
        uri,
        settings,
    )


def remove(uri: S3Uri, settings: S3Settings) -> None:
    """Remove an object. For S3 it is no error if there is no such object.

    Args:
        uri: address of the object.
        settings: how S3 is reached.

    Raises:
        S3Error: it was refused, or the server did not answer in time.
    """
    where = {"Bucket": uri.bucket, "Key": uri.key}
    with_retries(lambda: s3_client(settings).delete_object(**where), "s3:DeleteObject", uri, settings)


def download(uri: S3Uri, path: Path, settings: S3Settings) -> None:
    """Download an object to a file. The file is replaced only when the object is complete.

    Args:
        uri: address of the object.
        path: the file; missing folders are made.
        settings: how S3 is reached.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server did not answer in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:100]}.") as folder:
        temporary = Path(folder, "download")
        with_retries(
            lambda: s3_client(settings).download_file(uri.bucket, uri.key, str(temporary)),
            "s3:GetObject",
            uri,
            settings,
        )
        temporary.replace(path)


def copy_object(source: S3Uri, target: S3Uri, settings: S3Settings) -> None:
    """Copy an object within S3, without downloading it.

    Args:
        source: the object.
        target: address of the copy.
        settings: how S3 is reached.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server did not answer in time.
    """
    origin = {"Bucket": source.bucket, "Key": source.key}
    with_retries(lambda: s3_client(settings).copy(origin, target.bucket, target.key), "s3:PutObject", source, settings)


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    # Two parts at once: four were not faster on a nearby server, and take memory from a training on the same machine.
    return TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2)
