"""Transfers whole objects: uploads, downloads, copies within S3, and removal.

The verified transfers compare both sides before they are reported as complete.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from vision_research.storage.s3.client import with_retries
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.reader import head
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

PART_BYTES = 16 * 1024 * 1024
"""Size of a part of an upload. S3 accepts 10,000 parts, so an object may have up to 160 GB."""

# The ETag of an object that is not encrypted with a customer's key is the MD5 of its bytes, or the MD5 of the MD5s of
# its parts, followed by their number.
_MD5 = re.compile(r'^"?([0-9a-f]{32}(-\d+)?)"?$')


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
        lambda client: client.upload_fileobj(io.BytesIO(content), uri.bucket, uri.key, Config=_transfer()),
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
        lambda client: client.upload_file(str(path), uri.bucket, uri.key, Config=_transfer()),
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
    with_retries(lambda client: client.delete_object(Bucket=uri.bucket, Key=uri.key), "s3:DeleteObject", uri, settings)


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
            lambda client: client.download_file(uri.bucket, uri.key, str(temporary)), "s3:GetObject", uri, settings
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
    with_retries(lambda client: client.copy(origin, target.bucket, target.key), "s3:PutObject", source, settings)


def publish(path: Path, address: str, settings: S3Settings) -> str:
    """Upload a file to an address, verify it, and return the address of the object.

    Args:
        path: the file.
        address: `s3://BUCKET/KEY`. With a slash at the end it is a folder, in which the file keeps its name.
        settings: how S3 is reached.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, arrived damaged, or the server did not answer in time.
    """
    uri = S3Uri.parse(address)
    target = uri.child(path.name) if address.endswith("/") or not uri.key else uri
    upload_verified(path, target, settings)
    return str(target)


def upload_verified(path: Path, uri: S3Uri, settings: S3Settings) -> None:
    """Upload a file, and compare the object that the server has with it.

    The server verifies the checksum of every part; this verifies the whole.

    Args:
        path: the file.
        uri: address of the object.
        settings: how S3 is reached.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, arrived damaged, or the server did not answer in time.
    """
    upload(path, uri, settings)
    if not is_uploaded(path, uri, settings):
        raise S3Error(f"{uri} is not what was uploaded from {path}: something else writes to it, or the server is ill.")


def download_verified(uri: S3Uri, folder: Path, settings: S3Settings) -> Path:
    """Download the current version of an object, unless an earlier call did, into a folder named after the version.

    Args:
        uri: address of the object.
        folder: where downloaded files are kept.
        settings: how S3 is reached.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, arrived damaged, or the server did not answer in time.
    """
    found = head(uri, settings)
    if found is None:
        raise S3NotFoundError(f"There is no {uri}.")
    version = f"{settings.name_of(uri)} {found['ETag']}".encode("utf-8", "surrogatepass")
    path = folder / hashlib.sha256(version).hexdigest()[:16] / uri.name
    if not path.is_file():
        arrived = path.with_name(f"{path.name}.{os.getpid()}")
        download(uri, arrived, settings)
        if not is_uploaded(arrived, uri, settings):
            arrived.unlink()
            raise S3Error(f"{uri} is not what came: something else writes to it, or the server is ill. Type it again.")
        arrived.replace(path)
    return path


def is_uploaded(path: Path, uri: S3Uri, settings: S3Settings) -> bool:
    """Tell whether an object has the bytes of a file; one that is encrypted with a customer's key, at least the size.

    Args:
        path: the file.
        uri: address of the object.
        settings: how S3 is reached.
    """
    found = head(uri, settings)
    if found is None or found["ContentLength"] != path.stat().st_size:
        return False
    etag = _MD5.match(found.get("ETag", ""))
    if etag is None or found.get("ServerSideEncryption", "AES256") != "AES256":
        return True
    return _etag(path, in_parts=etag[2] is not None) == etag[1]


def _etag(path: Path, *, in_parts: bool) -> str:
    with path.open("rb") as file:
        if not in_parts:
            return hashlib.file_digest(file, "md5").hexdigest()
        digests = [hashlib.md5(part).digest() for part in iter(lambda: file.read(PART_BYTES), b"")]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    # Two parts at once: four were not faster on a nearby server, and take memory from a training on the same machine.
    return TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2)
