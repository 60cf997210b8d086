"""MMEngine's storage back end for `s3://`: everything that accepts `backend_args` can read and write S3 with it.

Importing this module registers the back end. It replaces MMEngine's own for that prefix, which needs a client that is
not public (petrel). Errors are those of MMEngine's other back ends: `FileNotFoundError`, `IsADirectoryError` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.fileio import register_backend

from vision_research.storage.s3.backend_files import Address, S3FileBackend
from vision_research.storage.s3.listing import has_any, list_folder
from vision_research.storage.s3.transfer import copy_object, download, upload
from vision_research.storage.s3.uri import S3Uri


@register_backend("s3", prefixes=["s3"], force=True)
class S3Backend(S3FileBackend):
    """`S3FileBackend` with the methods for folders.

    Args:
        settings: fields of `S3Settings` that differ from those of the process.
    """

    def copytree(self, src: Address, dst: Address) -> str:
        """Copy a folder within S3.

        Args:
            src: the folder.
            dst: address of the copy.

        Returns:
            `dst`.

        Raises:
            FileExistsError: `dst` exists.
            FileNotFoundError: there is no `src`.
        """
        source, target = self._existing_folder(src), S3Uri.parse(dst)
        self._refuse_existing(target)
        for entry in list_folder(source, self._settings, recursive=True):
            copy_object(source.child(entry.name), target.child(entry.name), self._settings)
        return str(dst)

    def copytree_from_local(self, src: Address, dst: Address) -> str:
        """Upload a folder.

        Args:
            src: the folder on this machine.
            dst: its address in S3.

        Returns:
            `dst`.

        Raises:
            FileExistsError: `dst` exists.
        """
        target = S3Uri.parse(dst)
        self._refuse_existing(target)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            upload(file, target.child(file.relative_to(src).as_posix()), self._settings)
        return str(dst)

    def copytree_to_local(self, src: Address, dst: Address) -> str:
        """Download a folder.

        Args:
            src: the folder in S3.
            dst: its path on this machine.

        Returns:
            `dst`.

        Raises:
            FileNotFoundError: there is no `src`.
        """
        source = self._existing_folder(src)
        for entry in list_folder(source, self._settings, recursive=True):
            download(source.child(entry.name), Path(dst, entry.name), self._settings)
        return str(dst)

    def rmtree(self, dir_path: Address) -> None:
        """Remove all objects of a folder."""
        folder = S3Uri.parse(dir_path)
        for entry in list(list_folder(folder, self._settings, recursive=True)):
            self.remove(str(folder.child(entry.name)))

    def copy_if_symlink_fails(self, src: Address, dst: Address) -> bool:
        """Copy a file or folder, since S3 has no symbolic links.

        Args:
            src: the file or folder.
            dst: address of the copy.

        Returns:
            False: no link was made.
        """
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
        """List a folder, without hidden files (`.name`).

        Args:
            dir_path: the folder.
            list_dir: list its folders.
            list_file: list its files.
            suffix: list only files with this end, or one of these ends.
            recursive: list its subfolders too.

        Returns:
            Names relative to the folder.

        Raises:
            TypeError: `suffix` is not a string or a tuple, or is given together with `list_dir`.
        """
        if list_dir and suffix is not None:
            raise TypeError("`suffix` should be None when `list_dir` is True")
        if suffix is not None and not isinstance(suffix, (str, tuple)):
            raise TypeError("`suffix` must be a string or tuple of strings")
        return self._list(S3Uri.parse(dir_path), list_dir, list_file, suffix, recursive)

    def _list(
        self, folder: S3Uri, list_dir: bool, list_file: bool, suffix: str | tuple[str, ...] | None, recursive: bool
    ) -> Iterator[str]:
        # Without folders in the result, a flat listing needs one request per thousand keys for all subfolders together.
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
