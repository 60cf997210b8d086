"""Lets what looks at files look at S3: a `Path` whose folders and files are those of a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PosixPath

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.listing import Listed, has_any, list_folder
from vision_research.storage.s3.objects import read_object
from vision_research.storage.s3.pack_lookup import packed_listing
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.storage.s3.uri import S3Uri


def as_path(address: str) -> Path:
    """Return the path of an address; a plain one is made absolute."""
    return S3Path(address) if is_s3(address) else Path(address).absolute()


class S3Path(PosixPath):
    """A file or folder in S3, to be looked at and read as a local one is.

    A folder is listed once for as long as this process keeps its listing: questions about the files in it then cost no
    request. What is not defined here fails, since no function of the operating system can open it.
    """

    def __str__(self) -> str:
        if self.parts[:1] != ("s3:",):
            return super().__str__()  # what `relative_to` returns is no address
        return "s3://" + "/".join(self.parts[1:])

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is no file of this machine")

    def absolute(self) -> S3Path:
        """Return this path: it is absolute."""
        return self

    def exists(self) -> bool:
        """Tell whether there is an object or a folder of that name."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Tell whether there is an object of that name."""
        entry = self._entry()
        return entry is not None and not entry.is_folder

    def is_dir(self) -> bool:
        """Tell whether it is a folder; a bucket that can be listed is one, though it be empty."""
        if len(self.parts) < 2:
            return False
        uri, settings = self._uri, default_settings()
        return not uri.key or has_any(uri, settings) or (settings.packed and bool(_listing(uri, settings)))

    def iterdir(self) -> Iterator[S3Path]:  # type: ignore[override]  # a generator of this very class
        """List the folder; one that does not exist is empty."""
        return (self / name for name in _listing(self._uri, default_settings()))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the size, and nothing else.

        Raises:
            FileNotFoundError: there is no such object.
        """
        entry = self._entry()
        if entry is None:
            raise FileNotFoundError(f"There is no {self}.")
        return os.stat_result((0, 0, 0, 0, 0, 0, entry.size, 0, 0, 0))

    def read_bytes(self) -> bytes:
        """Read the object.

        Raises:
            FileNotFoundError: there is none.
        """
        return read_object(self._uri, default_settings())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Read the object as text, UTF-8 where nothing else is said."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    @property
    def _uri(self) -> S3Uri:
        return S3Uri.parse(str(self))

    def _entry(self) -> Listed | None:
        return _listing(S3Uri.parse(str(self.parent)), default_settings()).get(self.name) if self._uri.key else None


@lru_cache(maxsize=32)
def _listing(folder: S3Uri, settings: S3Settings) -> dict[str, Listed]:
    found = {entry.name: entry for entry in list_folder(folder, settings)}
    return {**packed_listing(folder, settings), **found} if settings.packed else found
