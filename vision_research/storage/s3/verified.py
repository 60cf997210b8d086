"""Uploads and downloads that are compared with the original before they are reported as complete."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from vision_research.storage.s3.client import s3_client, with_retries
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import PART_BYTES, download, upload
from vision_research.storage.s3.uri import S3Uri

# The ETag of an object that is not encrypted with a customer's key is the MD5 of its bytes, or the MD5 of the MD5s of
# its parts, followed by their number.
_MD5 = re.compile(r'^"?([0-9a-f]{32}(-\d+)?)"?$')


def publish(path: Path, address: str, settings: S3Settings) -> str:
    """Upload a file to an address, and verify it.

    Args:
        path: the file.
        address: `s3://BUCKET/KEY`. With a slash at the end it is a folder, in which the file keeps its name.
        settings: how S3 is reached.

    Returns:
        The address of the object.

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
    """Download the current version of an object, unless an earlier call downloaded it already.

    Args:
        uri: address of the object.
        folder: where downloaded files are kept.
        settings: how S3 is reached.

    Returns:
        The file. It has its own name, in a folder that is named after its version.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, arrived damaged, or the server did not answer in time.
    """
    found = _head(uri, settings)
    if found is None:
        raise S3NotFoundError(f"There is no {uri}.")
    version = f"{settings.endpoint_url or ''} {uri} {found['ETag']}".encode("utf-8", "surrogatepass")
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
    """Tell whether an object has the bytes of a file.

    Args:
        path: the file.
        uri: address of the object.
        settings: how S3 is reached.

    Returns:
        Whether both are equal. Of an object that is encrypted with a customer's key only the size is compared.
    """
    found = _head(uri, settings)
    if found is None or found["ContentLength"] != path.stat().st_size:
        return False
    etag = _MD5.match(found.get("ETag", ""))
    if etag is None or found.get("ServerSideEncryption", "AES256") != "AES256":
        return True
    return _etag(path, in_parts=etag[2] is not None) == etag[1]


def _head(uri: S3Uri, settings: S3Settings) -> Any:
    where = {"Bucket": uri.bucket, "Key": uri.key}
    try:
        return with_retries(lambda: s3_client(settings).head_object(**where), "s3:GetObject", uri, settings)
    except S3NotFoundError:
        return None


def _etag(path: Path, *, in_parts: bool) -> str:
    with path.open("rb") as file:
        if not in_parts:
            return hashlib.file_digest(file, "md5").hexdigest()
        digests = [hashlib.md5(part).digest() for part in iter(lambda: file.read(PART_BYTES), b"")]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
