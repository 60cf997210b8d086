"""Folders of a bucket: what lies in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri


@dataclass(frozen=True)
class Listed:
    """One thing in a folder.

    Attributes:
        name: relative to the folder that was listed.
        is_folder: else it is an object.
        size: bytes; 0 for a folder.
    """

    name: str
    is_folder: bool
    size: int = 0


def list_folder(folder: S3Uri, settings: S3Settings, *, recursive: bool = False) -> Iterator[Listed]:
    """List a folder in the order of the keys, a page of a thousand in memory at a time.

    Args:
        folder: an empty one, or one that does not exist, has nothing in it.
        settings: how S3 is reached.
        recursive: list the objects of all folders inside too, and no folders.

    Raises:
        S3Error: it may not be listed, or the server was away for too long.
    """
    prefix = folder.folder_prefix
    token: str | None = None
    while True:
        page = _page(folder, settings, prefix, token, delimiter="" if recursive else "/")
        yield from sorted(_entries(page, prefix), key=lambda entry: entry.name)
        token = page.get("NextContinuationToken")
        if token is None:
            return


def has_any(folder: S3Uri, settings: S3Settings) -> bool:
    """Whether a folder holds an object, at any depth.

    Raises:
        S3Error: it may not be listed, or the server was away for too long.
    """
    return bool(_page(folder, settings, folder.folder_prefix, None, num_keys=1).get("KeyCount"))


def _page(
    folder: S3Uri, settings: S3Settings, prefix: str, token: str | None, *, delimiter: str = "", num_keys: int = 1000
) -> Any:
    arguments: dict[str, Any] = {"Bucket": folder.bucket, "Prefix": prefix, "MaxKeys": num_keys}
    if delimiter:
        arguments["Delimiter"] = delimiter
    if token is not None:
        arguments["ContinuationToken"] = token
    return persist(lambda: s3_client(settings).list_objects_v2(**arguments), "s3:ListBucket", folder, settings)


def _entries(page: Any, prefix: str) -> Iterator[Listed]:
    for folder in page.get("CommonPrefixes", ()):
        yield Listed(folder["Prefix"][len(prefix) :].rstrip("/"), is_folder=True)
    for item in page.get("Contents", ()):
        # Consoles mark an empty folder by an object whose key ends with a slash.
        if not item["Key"].endswith("/"):
            yield Listed(item["Key"][len(prefix) :], is_folder=False, size=item["Size"])
