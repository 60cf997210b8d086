"""MMEngine's storage back end for `s3://`, so that whatever takes `backend_args` reads and writes S3.

Importing this module registers it, in the place of MMEngine's own for that prefix, which needs a client that is not
public (petrel). Errors are those of MMEngine's other back ends: `FileNotFoundError`, `IsADirectoryError` and so on.

One class of 21 methods, for that is the interface that MMEngine asks for; each is a few lines on the modules beside.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.fileio import BaseStorageBackend, register_backend

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.listing import has_any, list_folder
from vision_research.storage.s3.objects import kept_objects, read_object
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.transfer import copy_object, download, remove, upload, upload_bytes
from vision_research.storage.s3.uri import S3Uri

Address = str | Path


@register_backend("s3", prefixes=["s3"], force=True)
class S3Backend(BaseStorageBackend):
    """S3 as a tree of files.

    A folder is there while an object's key starts with its name and a slash.

    Args:
        settings: fields of `S3Settings` that differ from what is set for the process.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = default_settings(**settings)
        self._kept = kept_objects(self._settings)

    def get(self, filepath: Address) -> bytes:
        """Read an object.

        Raises:
            FileNotFoundError: there is none.
        """
        kept = None if self._kept is None else self._kept.read(str(filepath))
        return read_object(S3Uri.parse(filepath), self._settings) if kept is None else kept

    def get_text(self, filepath: Address, encoding: str = "utf-8") -> str:
        """Read an object that is text.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.get(filepath).decode(encoding)

    def put(self, obj: bytes, filepath: Address) -> None:
        """Write an object; it is there whole, or the old one stays."""
        upload_bytes(obj, S3Uri.parse(filepath), self._settings)

    def put_text(self, obj: str, filepath: Address, encoding: str = "utf-8") -> None:
        """Write text."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: Address) -> bool:
        """Whether there is such an object or folder."""
        return self.isfile(filepath) or self.isdir(filepath)

    def isdir(self, filepath: Address) -> bool:
        """Whether it is a folder."""
        return has_any(S3Uri.parse(filepath), self._settings)

    def isfile(self, filepath: Address) -> bool:
        """Whether it is an object."""
        uri = S3Uri.parse(filepath)
        if not uri.key:
            return False
        try:
            persist(
                lambda: s3_client(self._settings).head_object(Bucket=uri.bucket, Key=uri.key),
                "s3:GetObject",
                uri,
                self._settings,
            )
        except S3NotFoundError:
            return False
        return True

    def join_path(self, filepath: Address, *filepaths: Address) -> str:
        """Join parts of an address with slashes."""
        parts = [str(filepath).rstrip("/"), *(str(part).strip("/") for part in filepaths)]
        return "/".join(part for part in parts if part)

    @contextmanager
    def get_local_path(self, filepath: Address) -> Iterator[str]:
        """Yield the path of a temporary local copy, with the same suffix."""
        uri = S3Uri.parse(filepath)
        with tempfile.TemporaryDirectory(prefix="vision_research-") as folder:
            local = Path(folder, uri.name)
            local.write_bytes(self.get(filepath))
            yield str(local)

    def copyfile(self, src: Address, dst: Address) -> str:
        """Copy an object within S3, into `dst` if that is a folder; return where it is.

        Raises:
            SameFileError: both are the same.
            FileNotFoundError: there is no `src`.
        """
        source, target = S3Uri.parse(src), self._inside(S3Uri.parse(dst), S3Uri.parse(src).name)
        if source == target:
            raise shutil.SameFileError("src and dst should not be same")
        copy_object(source, target, self._settings)
        return str(target)

    def copytree(self, src: Address, dst: Address) -> str:
        """Copy a folder within S3.

        Raises:
            FileExistsError: there is a `dst`.
            FileNotFoundError: there is no `src`.
        """
        source, target = self._existing_folder(src), S3Uri.parse(dst)
        self._refuse_existing(target)
        for entry in list_folder(source, self._settings, recursive=True):
            copy_object(source.child(entry.name), target.child(entry.name), self._settings)
        return str(dst)

    def copyfile_from_local(self, src: Address, dst: Address) -> str:
        """Upload a file, into `dst` if that is a folder; return where it is.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        target = self._inside(S3Uri.parse(dst), Path(src).name)
        upload(Path(src), target, self._settings)
        return str(target)

    def copytree_from_local(self, src: Address, dst: Address) -> str:
        """Upload a folder.

        Raises:
            FileExistsError: there is a `dst`.
        """
        target = S3Uri.parse(dst)
        self._refuse_existing(target)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            upload(file, target.child(file.relative_to(src).as_posix()), self._settings)
        return str(dst)

    def copyfile_to_local(self, src: Address, dst: Address) -> str:
        """Download an object, into `dst` if that is a folder; return where it is. It is there whole or not at all.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        source, target = S3Uri.parse(src), Path(dst)
        if target.is_dir():
            target = target / source.name
        download(source, target, self._settings)
        return str(target)

    def copytree_to_local(self, src: Address, dst: Address) -> str:
        """Download a folder.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        source = self._existing_folder(src)
        for entry in list_folder(source, self._settings, recursive=True):
            download(source.child(entry.name), Path(dst, entry.name), self._settings)
        return str(dst)

    def remove(self, filepath: Address) -> None:
        """Remove an object.

        Raises:
            FileNotFoundError: there is none.
            IsADirectoryError: it is a folder.
        """
        uri = S3Uri.parse(filepath)
        if not self.isfile(filepath):
            if self.isdir(filepath):
                raise IsADirectoryError("filepath should be a file")
            raise FileNotFoundError(f"filepath {filepath} does not exist")
        remove(uri, self._settings)

    def rmtree(self, dir_path: Address) -> None:
        """Remove all objects of a folder."""
        folder = S3Uri.parse(dir_path)
        for entry in list(list_folder(folder, self._settings, recursive=True)):
            self.remove(str(folder.child(entry.name)))

    def copy_if_symlink_fails(self, src: Address, dst: Address) -> bool:
        """Copy, since S3 has no links; return False."""
        if self.isfile(src):
            self.copyfile(src, dst)
        else:
            self.copytree(src, dst)
        return False

    def list_dir_or_file(
        self,
        dir_path: Address,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """List a folder; names are relative to it, and hidden files (`.name`) are left out.

        Raises:
            TypeError: `suffix` is no string and no tuple, or is given together with `list_dir`.
        """
        if list_dir and suffix is not None:
            raise TypeError("`suffix` should be None when `list_dir` is True")
        if suffix is not None and not isinstance(suffix, (str, tuple)):
            raise TypeError("`suffix` must be a string or tuple of strings")
        return self._list(S3Uri.parse(dir_path), list_dir, list_file, suffix, recursive)

    def _list(
        self, folder: S3Uri, list_dir: bool, list_file: bool, suffix: str | tuple[str, ...] | None, recursive: bool
    ) -> Iterator[str]:
        # Without folders to name, a thousand keys a request do, however many folders they lie in.
        flat = recursive and not list_dir
        for entry in list_folder(folder, self._settings, recursive=flat):
            if entry.is_folder:
                if list_dir:
                    yield entry.name
                if recursive:
                    inner = self._list(folder.child(entry.name), list_dir, list_file, suffix, recursive)
                    yield from (f"{entry.name}/{name}" for name in inner)
            elif list_file and not _is_hidden(entry.name) and (suffix is None or entry.name.endswith(suffix)):
                yield entry.name

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """Return an address at which anybody may do one thing with an object.

        Args:
            url: of the object, `s3://BUCKET/KEY`.
            client_method: what may be done, as boto3 names it.
            expires_in: seconds that it is valid for.
        """
        uri = S3Uri.parse(url)
        parameters = {"Bucket": uri.bucket, "Key": uri.key}
        address: str = s3_client(self._settings).generate_presigned_url(
            client_method, Params=parameters, ExpiresIn=expires_in
        )
        return address

    def get_range(self, filepath: Address, start: int, stop: int) -> bytes:
        """Read the bytes from `start` up to `stop` of an object, past any cache.

        Raises:
            FileNotFoundError: there is no such object.
        """
        body = fetch(S3Uri.parse(filepath), self._settings, byte_range=(start, stop)).body
        assert body is not None
        return body

    def _inside(self, target: S3Uri, name: str) -> S3Uri:
        return target.child(name) if has_any(target, self._settings) else target

    def _existing_folder(self, address: Address) -> S3Uri:
        folder = S3Uri.parse(address)
        if not has_any(folder, self._settings):
            raise FileNotFoundError(f"There is no folder {folder}.")
        return folder

    def _refuse_existing(self, target: S3Uri) -> None:
        if has_any(target, self._settings):
            raise FileExistsError("dst should not exist")


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")
