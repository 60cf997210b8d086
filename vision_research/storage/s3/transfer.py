"""Moves whole objects: up in parts, down beside the target, or from place to place within S3."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

PART_BYTES = 16 * 1024 * 1024
"""Of an upload in parts; with the 10,000 parts that S3 takes, an object may have 160 GB."""


def upload_bytes(content: bytes, uri: S3Uri, settings: S3Settings) -> None:
    """Write an object. Large ones go in parts; a checksum travels with each, and the server compares it.

    Raises:
        S3Error: it was refused, or the server was away for too long; nothing is there under that key then, or what was.
    """
    persist(
        lambda: s3_client(settings).upload_fileobj(io.BytesIO(content), uri.bucket, uri.key, Config=_transfer()),
        "s3:PutObject",
        uri,
        settings,
    )


def upload(path: Path, uri: S3Uri, settings: S3Settings) -> None:
    """Write a file as an object, as `upload_bytes` does, without reading it whole into memory.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, or the server was away for too long.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    persist(
        lambda: s3_client(settings).upload_file(str(path), uri.bucket, uri.key, Config=_transfer()),
        "s3:PutObject",
        uri,
        settings,
    )


def remove(uri: S3Uri, settings: S3Settings) -> None:
    """Remove an object; one that is not there is no error of S3.

    Raises:
        S3Error: it was refused, or the server was away for too long.
    """
    persist(lambda: s3_client(settings).delete_object(Bucket=uri.bucket, Key=uri.key), "s3:DeleteObject", uri, settings)


def download(uri: S3Uri, path: Path, settings: S3Settings) -> None:
    """Read an object into a file, which is there whole or not at all; missing folders are made.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server was away for too long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:100]}.") as folder:
        temporary = Path(folder, "download")
        persist(
            lambda: s3_client(settings).download_file(uri.bucket, uri.key, str(temporary)),
            "s3:GetObject",
            uri,
            settings,
        )
        temporary.replace(path)


def copy_object(source: S3Uri, target: S3Uri, settings: S3Settings) -> None:
    """Copy within S3; no byte passes through this machine.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server was away for too long.
    """
    origin = {"Bucket": source.bucket, "Key": source.key}
    persist(lambda: s3_client(settings).copy(origin, target.bucket, target.key), "s3:PutObject", source, settings)


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    # Two at once: four are no sooner done on a near server, and take more of the memory from a training beside them.
    return TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2)
