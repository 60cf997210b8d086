"""Lists the folders of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vision_research.storage.s3.client import with_retries
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri


@dataclass(frozen=True)
class FolderEntry:
    """An object or a folder in a listed folder.

    Attributes:
        name: relative to the listed folder.
        is_folder: whether it is a folder and not an object.
        size: in bytes; 0 for a folder.
    """

    name: str
    is_folder: bool
    size: int = 0


def list_folder(folder: S3Uri, settings: S3Settings, *, recursive: bool = False) -> Iterator[FolderEntry]:
    """List a folder in the order of the keys, with a page of a thousand entries in memory at a time.

    Args:
        folder: the folder; one that does not exist is empty.
        settings: how S3 is reached.
        recursive: list the objects of all subfolders too, and no folders.

    Raises:
        S3Error: listing was refused, or the server did not answer in time.
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
    """Tell whether a folder exists, that is, contains an object at any depth.

    Args:
        folder: the folder.
        settings: how S3 is reached.

    Raises:
        S3Error: listing was refused, or the server did not answer in time.
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
    return with_retries(lambda client: client.list_objects_v2(**arguments), "s3:ListBucket", folder, settings)


def _entries(page: Any, prefix: str) -> Iterator[FolderEntry]:
    for folder in page.get("CommonPrefixes", ()):
        yield FolderEntry(folder["Prefix"][len(prefix) :].rstrip("/"), is_folder=True)
    for item in page.get("Contents", ()):
        # Consoles mark an empty folder by an object whose key ends with a slash.
        if not item["Key"].endswith("/"):
            yield FolderEntry(item["Key"][len(prefix) :], is_folder=False, size=item["Size"])
