"""MMEngine's storage back end for `s3://`: everything that accepts `backend_args` can read and write S3 with it.

Importing this module registers the back end. It replaces MMEngine's own for that prefix, which needs a client that is
not public (petrel). Errors are those of MMEngine's other back ends: every method that reads raises `FileNotFoundError`
if there is no such object or folder, and every method that writes a folder raises `FileExistsError` if it exists.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.fileio import BaseStorageBackend, register_backend

from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.listing import FolderEntry, has_any, list_folder
from vision_research.storage.s3.objects import ConfirmedObjects, read_object
from vision_research.storage.s3.reader import head, presigned_address
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.transfer import copy_object, download, remove, upload, upload_bytes
from vision_research.storage.s3.uri import S3Uri

Address = str | Path


@register_backend("s3", prefixes=["s3"], force=True)
class S3Backend(BaseStorageBackend):
    """S3 as a tree of files. A folder exists while there is an object whose key starts with its name and a slash.

    Args:
        settings: fields of `S3Settings` that differ from those of the process.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = default_settings(**settings)
        self._confirmed = ConfirmedObjects(self._settings)

    def get(self, filepath: Address) -> bytes:
        """Read an object."""
        cached = self._confirmed.read(str(filepath))
        return read_object(S3Uri.parse(filepath), self._settings) if cached is None else cached

    def get_text(self, filepath: Address, encoding: str = "utf-8") -> str:
        """Read an object that is text.

        Args:
            filepath: address of the object.
            encoding: of its bytes.
        """
        return self.get(filepath).decode(encoding)

    def put(self, obj: bytes, filepath: Address) -> None:
        """Write an object. If that fails, an older object is unchanged."""
        upload_bytes(obj, S3Uri.parse(filepath), self._settings)

    def put_text(self, obj: str, filepath: Address, encoding: str = "utf-8") -> None:
        """Write text as `put` writes bytes."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: Address) -> bool:
        """Tell whether there is an object or a folder of that name."""
        return self.isfile(filepath) or self.isdir(filepath)

    def isdir(self, filepath: Address) -> bool:
        """Tell whether there is a folder of that name."""
        return has_any(S3Uri.parse(filepath), self._settings)

    def isfile(self, filepath: Address) -> bool:
        """Tell whether there is an object of that name."""
        uri = S3Uri.parse(filepath)
        return bool(uri.key) and head(uri, self._settings) is not None

    def join_path(self, filepath: Address, *filepaths: Address) -> str:
        """Join parts of an address with slashes."""
        parts = [str(filepath).rstrip("/"), *(str(part).strip("/") for part in filepaths)]
        return "/".join(part for part in parts if part)

    @contextmanager
    def get_local_path(self, filepath: Address) -> Iterator[str]:
        """Yield the path of a temporary local copy, which has the name of the object."""
        uri = S3Uri.parse(filepath)
        with tempfile.TemporaryDirectory(prefix="vision_research-") as folder:
            local = Path(folder, uri.name)
            local.write_bytes(self.get(filepath))
            yield str(local)

    def copyfile(self, src: Address, dst: Address) -> str:
        """Copy an object within S3, and return the address of the copy; onto itself raises `SameFileError`."""
        source, target = S3Uri.parse(src), self._inside(S3Uri.parse(dst), S3Uri.parse(src).name)
        if source == target:
            raise shutil.SameFileError("src and dst should not be same")
        copy_object(source, target, self._settings)
        return str(target)

    def copyfile_from_local(self, src: Address, dst: Address) -> str:
        """Upload a file, and return the address of the object.

        Args:
            src: the file.
            dst: address of the object, or a folder in which it keeps its name.
        """
        target = self._inside(S3Uri.parse(dst), Path(src).name)
        upload(Path(src), target, self._settings)
        return str(target)

    def copyfile_to_local(self, src: Address, dst: Address) -> str:
        """Download an object, and return the path of the file, which is replaced only when the object is complete.

        Args:
            src: the object.
            dst: the file, or a folder in which it keeps its name.
        """
        source = S3Uri.parse(src)
        target = Path(dst, source.name) if Path(dst).is_dir() else Path(dst)
        download(source, target, self._settings)
        return str(target)

    def copytree(self, src: Address, dst: Address) -> str:
        """Copy a folder within S3, and return `dst`."""
        source, target = self._existing_folder(src), self._new_folder(dst)
        for entry in list_folder(source, self._settings, recursive=True):
            copy_object(source.child(entry.name), target.child(entry.name), self._settings)
        return str(dst)

    def copytree_from_local(self, src: Address, dst: Address) -> str:
        """Upload a folder, and return `dst`.

        Args:
            src: the folder on this machine.
            dst: its address in S3.
        """
        target = self._new_folder(dst)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            upload(file, target.child(file.relative_to(src).as_posix()), self._settings)
        return str(dst)

    def copytree_to_local(self, src: Address, dst: Address) -> str:
        """Download a folder, and return `dst`.

        Args:
            src: the folder in S3.
            dst: its path on this machine.
        """
        source = self._existing_folder(src)
        for entry in list_folder(source, self._settings, recursive=True):
            download(source.child(entry.name), Path(dst, entry.name), self._settings)
        return str(dst)

    def remove(self, filepath: Address) -> None:
        """Remove an object; a folder raises `IsADirectoryError`."""
        if not self.isfile(filepath):
            if self.isdir(filepath):
                raise IsADirectoryError("filepath should be a file")
            raise FileNotFoundError(f"filepath {filepath} does not exist")
        remove(S3Uri.parse(filepath), self._settings)

    def rmtree(self, dir_path: Address) -> None:
        """Remove all objects of a folder."""
        folder = S3Uri.parse(dir_path)
        for entry in list(list_folder(folder, self._settings, recursive=True)):
            self.remove(str(folder.child(entry.name)))

    def copy_if_symlink_fails(self, src: Address, dst: Address) -> bool:
        """Copy a file or folder, since S3 has no symbolic links; return False, because no link was made.

        Args:
            src: the file or folder.
            dst: address of the copy.
        """
        copy = self.copyfile if self.isfile(src) else self.copytree
        copy(src, dst)
        return False

    def list_dir_or_file(
        self,
        dir_path: Address,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """List a folder by names relative to it, without hidden files (`.name`).

        Args:
            dir_path: the folder.
            list_dir: list its folders.
            list_file: list its files.
            suffix: list only files with this end, or one of these ends.
            recursive: list its subfolders too.

        Raises:
            TypeError: `suffix` is not a string or a tuple, or is given together with `list_dir`.
        """
        if list_dir and suffix is not None:
            raise TypeError("`suffix` should be None when `list_dir` is True")
        if suffix is not None and not isinstance(suffix, (str, tuple)):
            raise TypeError("`suffix` must be a string or tuple of strings")
        folder = S3Uri.parse(dir_path)
        # Without folders in the result, a flat listing needs one request per thousand keys for all subfolders together.
        nested = recursive and list_dir
        entries = self._walk(folder) if nested else list_folder(folder, self._settings, recursive=recursive)
        end = "" if suffix is None else suffix
        return (entry.name for entry in entries if (list_dir if entry.is_folder else list_file and _shown(entry, end)))

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """Return an address that allows one action on an object without credentials.

        Args:
            url: address of the object, `s3://BUCKET/KEY`.
            client_method: the action, by the name of boto3's method.
            expires_in: seconds for which the address is valid.
        """
        return presigned_address(s3_client(self._settings), S3Uri.parse(url), client_method, expires_in)

    def _walk(self, folder: S3Uri) -> Iterator[FolderEntry]:
        for entry in list_folder(folder, self._settings):
            yield entry
            if entry.is_folder:
                inner = self._walk(folder.child(entry.name))
                yield from (replace(below, name=f"{entry.name}/{below.name}") for below in inner)

    def _inside(self, target: S3Uri, name: str) -> S3Uri:
        return target.child(name) if has_any(target, self._settings) else target

    def _existing_folder(self, address: Address) -> S3Uri:
        folder = S3Uri.parse(address)
        if not has_any(folder, self._settings):
            raise FileNotFoundError(f"There is no folder {folder}.")
        return folder

    def _new_folder(self, address: Address) -> S3Uri:
        folder = S3Uri.parse(address)
        if has_any(folder, self._settings):
            raise FileExistsError("dst should not exist")
        return folder


def _shown(entry: FolderEntry, end: str | tuple[str, ...]) -> bool:
    return entry.name.endswith(end) and not entry.name.rpartition("/")[2].startswith(".")
