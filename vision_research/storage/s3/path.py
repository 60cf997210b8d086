"""`Path` for addresses in S3: code that checks and reads local files works on a bucket too.

What makes requests is imported where it is used: packs load NumPy, and every command that looks at local annotation
files, or only composes, imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.storage.s3.uri import S3Uri

if TYPE_CHECKING:
    from vision_research.storage.s3.listing import FolderEntry


def as_path(address: str) -> Path:
    """Return the path of an address; a path of this machine is made absolute."""
    return S3Path(address) if is_s3(address) else Path(address).absolute()


class S3Path(PosixPath):
    """A file or folder in S3, with the methods of a local path that read.

    A folder is listed once, and the listing is kept in memory; further questions about its files need no request. All
    other methods of `Path` fail, since the operating system cannot open the address.
    """

    def __str__(self) -> str:
        if self.parts[:1] != ("s3:",):
            return super().__str__()  # a relative path, as `relative_to` returns it
        return "s3://" + "/".join(self.parts[1:])

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is no file of this machine")

    def absolute(self) -> S3Path:
        """Return this path, which is absolute."""
        return self

    def exists(self) -> bool:
        """Tell whether there is an object or a folder of that name."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Tell whether there is an object of that name."""
        entry = self._entry()
        return entry is not None and not entry.is_folder

    def is_dir(self) -> bool:
        """Tell whether there is a folder of that name; a bucket that can be listed is a folder even if it is empty."""
        if len(self.parts) < 2:
            return False
        from vision_research.storage.s3.listing import has_any

        uri, settings = self._uri, default_settings()
        return not uri.key or has_any(uri, settings) or (settings.packed and bool(_listing(uri, settings)))

    def iterdir(self) -> Iterator[S3Path]:  # type: ignore[override]  # a generator of this very class
        """List the folder; a folder that does not exist is empty."""
        return (self / name for name in _listing(self._uri, default_settings()))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the size, with 0 in all other fields; `FileNotFoundError` if there is no such object."""
        entry = self._entry()
        if entry is None:
            raise FileNotFoundError(f"There is no {self}.")
        return os.stat_result((0, 0, 0, 0, 0, 0, entry.size, 0, 0, 0))

    def read_bytes(self) -> bytes:
        """Read the object; `FileNotFoundError` if there is none."""
        from vision_research.storage.s3.objects import read_object

        return read_object(self._uri, default_settings())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Read the object as text.

        Args:
            encoding: None is UTF-8.
            errors: as in `bytes.decode`; None is `strict`.

        Raises:
            FileNotFoundError: there is no such object.
        """
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    @property
    def _uri(self) -> S3Uri:
        return S3Uri.parse(str(self))

    def _entry(self) -> FolderEntry | None:
        return _listing(S3Uri.parse(str(self.parent)), default_settings()).get(self.name) if self._uri.key else None


@lru_cache(maxsize=32)
def _listing(folder: S3Uri, settings: S3Settings) -> dict[str, FolderEntry]:
    from vision_research.storage.s3.listing import list_folder

    found = {entry.name: entry for entry in list_folder(folder, settings)}
    if not settings.packed:
        return found
    from vision_research.storage.s3.pack_lookup import packed_listing

    return {**packed_listing(folder, settings), **found}
