"""Copies, to S3 and from it, that are compared before anybody is told of them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import PART_BYTES, download, upload
from vision_research.storage.s3.uri import S3Uri

# What S3 gives as the ETag of an object that is not encrypted with a customer's key: the MD5 of its bytes, or of the
# MD5s of its parts with their number.
_MD5 = re.compile(r'^"?([0-9a-f]{32}(-\d+)?)"?$')


def publish(path: Path, address: str, settings: S3Settings) -> str:
    """Put a file under an address: there whole and verified, or not at all.

    Args:
        path: of the file.
        address: `s3://BUCKET/KEY`; one that ends with a slash is a folder, and gets the file under its name.
        settings: how S3 is reached.

    Returns:
        The address of the object.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, arrived damaged, or the server was away for too long.
    """
    uri = S3Uri.parse(address)
    target = uri.child(path.name) if address.endswith("/") or not uri.key else uri
    upload_verified(path, target, settings)
    return str(target)


def upload_verified(path: Path, uri: S3Uri, settings: S3Settings) -> None:
    """Upload a file, and ask the server what it has.

    A checksum travels with every part and the server compares it; this compares the whole.

    Raises:
        FileNotFoundError: there is no such file.
        S3Error: it was refused, arrived damaged, or the server was away for too long.
    """
    upload(path, uri, settings)
    if not is_uploaded(path, uri, settings):
        raise S3Error(f"{uri} is not what was uploaded from {path}: something else writes to it, or the server is ill.")


def download_verified(uri: S3Uri, folder: Path, settings: S3Settings) -> Path:
    """Have an object as a file of this machine, as it is now; a version that came before is not fetched again.

    Args:
        uri: of the object.
        folder: where such files are kept.
        settings: how S3 is reached.

    Returns:
        The file, under its own name in a folder of its version.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, arrived damaged, or the server was away for too long.
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
    """Tell whether an object has the bytes of a file; with a customer's key in S3, their number has to do."""
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
        return persist(lambda: s3_client(settings).head_object(**where), "s3:GetObject", uri, settings)
    except S3NotFoundError:
        return None


def _etag(path: Path, *, in_parts: bool) -> str:
    with path.open("rb") as file:
        if not in_parts:
            return hashlib.file_digest(file, "md5").hexdigest()
        digests = [hashlib.md5(part).digest() for part in iter(lambda: file.read(PART_BYTES), b"")]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
