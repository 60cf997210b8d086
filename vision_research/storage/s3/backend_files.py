"""The part of MMEngine's storage back end for S3 that reads, writes and copies single files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.fileio import BaseStorageBackend

from vision_research.storage.s3.client import s3_client, with_retries
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.listing import has_any
from vision_research.storage.s3.objects import confirmed_objects, read_object
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.transfer import copy_object, download, remove, upload, upload_bytes
from vision_research.storage.s3.uri import S3Uri

Address = str | Path


class S3FileBackend(BaseStorageBackend):
    """S3 as a tree of files. A folder exists while there is an object whose key starts with its name and a slash.

    Args:
        settings: fields of `S3Settings` that differ from those of the process.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = default_settings(**settings)
        self._confirmed = confirmed_objects(self._settings)

    def get(self, filepath: Address) -> bytes:
        """Read an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        cached = None if self._confirmed is None else self._confirmed.read(str(filepath))
        return read_object(S3Uri.parse(filepath), self._settings) if cached is None else cached

    def get_text(self, filepath: Address, encoding: str = "utf-8") -> str:
        """Read an object that is text.

        Args:
            filepath: address of the object.
            encoding: of its bytes.

        Returns:
            The text.

        Raises:
            FileNotFoundError: there is no such object.
        """
        return self.get(filepath).decode(encoding)

    def put(self, obj: bytes, filepath: Address) -> None:
        """Write an object. If that fails, an older object is unchanged.

        Args:
            obj: all of its bytes.
            filepath: address of the object.
        """
        upload_bytes(obj, S3Uri.parse(filepath), self._settings)

    def put_text(self, obj: str, filepath: Address, encoding: str = "utf-8") -> None:
        """Write text as `put` writes bytes.

        Args:
            obj: the text.
            filepath: address of the object.
            encoding: of its bytes.
        """
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
        if not uri.key:
            return False
        where = {"Bucket": uri.bucket, "Key": uri.key}
        try:
            with_retries(lambda: s3_client(self._settings).head_object(**where), "s3:GetObject", uri, self._settings)
        except S3NotFoundError:
            return False
        return True

    def join_path(self, filepath: Address, *filepaths: Address) -> str:
        """Join parts of an address with slashes.

        Args:
            filepath: the first part.
            *filepaths: further parts.

        Returns:
            The address.
        """
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
        """Copy an object within S3.

        Args:
            src: the object.
            dst: address of the copy, or a folder in which the copy keeps its name.

        Returns:
            The address of the copy.

        Raises:
            SameFileError: both addresses are the same.
            FileNotFoundError: there is no `src`.
        """
        source, target = S3Uri.parse(src), self._inside(S3Uri.parse(dst), S3Uri.parse(src).name)
        if source == target:
            raise shutil.SameFileError("src and dst should not be same")
        copy_object(source, target, self._settings)
        return str(target)

    def copyfile_from_local(self, src: Address, dst: Address) -> str:
        """Upload a file.

        Args:
            src: the file.
            dst: address of the object, or a folder in which it keeps its name.

        Returns:
            The address of the object.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        target = self._inside(S3Uri.parse(dst), Path(src).name)
        upload(Path(src), target, self._settings)
        return str(target)

    def copyfile_to_local(self, src: Address, dst: Address) -> str:
        """Download an object. The file is replaced only when the object is complete.

        Args:
            src: the object.
            dst: the file, or a folder in which it keeps its name.

        Returns:
            The path of the file.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        source, target = S3Uri.parse(src), Path(dst)
        if target.is_dir():
            target = target / source.name
        download(source, target, self._settings)
        return str(target)

    def remove(self, filepath: Address) -> None:
        """Remove an object.

        Raises:
            FileNotFoundError: there is no such object.
            IsADirectoryError: it is a folder.
        """
        uri = S3Uri.parse(filepath)
        if not self.isfile(filepath):
            if self.isdir(filepath):
                raise IsADirectoryError("filepath should be a file")
            raise FileNotFoundError(f"filepath {filepath} does not exist")
        remove(uri, self._settings)

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """Return an address that allows one action on an object without credentials.

        Args:
            url: address of the object, `s3://BUCKET/KEY`.
            client_method: the action, by the name of boto3's method.
            expires_in: seconds for which the address is valid.

        Returns:
            The address.
        """
        uri = S3Uri.parse(url)
        address: str = s3_client(self._settings).generate_presigned_url(
            client_method, Params={"Bucket": uri.bucket, "Key": uri.key}, ExpiresIn=expires_in
        )
        return address

    def _inside(self, target: S3Uri, name: str) -> S3Uri:
        return target.child(name) if has_any(target, self._settings) else target
