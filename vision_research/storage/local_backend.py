"""Replaces MMEngine's local back end by one whose writes are atomic.

Importing this module registers the back end. Every checkpoint, JSON or text file that MMEngine or MMDetection then
writes through `mmengine.fileio` is either complete under its name or absent.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from mmengine.fileio import LocalBackend as MMEngineLocalBackend
from mmengine.fileio import register_backend
from mmengine.fileio.io import backend_instances

from vision_research.work_dir import write_atomic


class LocalBackend(MMEngineLocalBackend):
    """MMEngine's local back end, which writes to a temporary file beside the target and renames it.

    MMEngine 0.10.7 opens the target itself with `wb` (mmengine/fileio/backends/local_backend.py). A kill while a
    checkpoint is written would leave a truncated file under the name of a complete one.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes. A reader sees either the old content or the new one.

        Args:
            obj: the whole content.
            filepath: target; missing folders are made. Of a symbolic link, the file that it points to is replaced.

        Raises:
            OSError: the disk is full, or the folder cannot be written; the old file is unchanged.
        """
        target = _resolve_target(filepath)
        if target.exists() and not target.is_file():
            # A device or a pipe (/dev/stdout) must not be replaced by a file, which root could do.
            super().put(obj, target)
            return
        write_atomic(target, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text as `put` writes bytes.

        Args:
            obj: the whole text.
            filepath: target; missing folders are made.
            encoding: of the file.

        Raises:
            OSError: the disk is full, or the folder cannot be written; the old file is unchanged.
        """
        self.put(obj.encode(encoding), filepath)

    def copyfile(self, src: str | Path, dst: str | Path) -> str:
        """Copy a file with its permissions, and return the path of the copy; `copyfile_*_local` call this too.

        Args:
            src: file to copy.
            dst: target file, or an existing folder in which the copy keeps its name.

        Raises:
            shutil.SameFileError: `src` and `dst` are the same file.
            OSError: `src` cannot be read, or `dst` cannot be written; an old `dst` is unchanged.
        """
        copy = Path(dst, Path(src).name) if Path(dst).is_dir() else Path(dst)
        if copy.exists() and copy.samefile(src):
            raise shutil.SameFileError(f"{str(src)!r} and {str(copy)!r} are the same file")
        _copy_atomic(src, copy)
        return str(copy)

    def copytree(self, src: str | Path, dst: str | Path) -> str:
        """Copy a folder, and return the path of the copy; each of its files is either complete or absent.

        Args:
            src: folder to copy.
            dst: folder to make.

        Raises:
            FileExistsError: `dst` exists.
        """
        return str(shutil.copytree(src, dst, copy_function=_copy_atomic))


def _resolve_target(filepath: str | Path) -> Path:
    target = Path(os.path.realpath(filepath))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _copy_atomic(src: str | Path, dst: str | Path) -> str:
    """Copy content and permissions in chunks, because a checkpoint may be larger than the free memory."""
    target = _resolve_target(dst)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as sink, Path(src).open("rb") as source:
            shutil.copyfileobj(source, sink)
            sink.flush()
            os.fsync(sink.fileno())
        shutil.copymode(src, temporary)
        os.replace(temporary, target)  # noqa: PTH105  # str in, str out: as mkstemp gave it
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return str(dst)


def register() -> None:
    """Make this the back end of plain paths and of `backend_args=dict(backend='local')`. Idempotent.

    MMEngine caches one instance per signature for `fileio.get` and similar functions. Cached instances of its own class
    are removed, because they would still write in place.
    """
    register_backend("local", LocalBackend, force=True, prefixes="")
    for key, instance in list(backend_instances.items()):
        if type(instance) is MMEngineLocalBackend:
            del backend_instances[key]


register()
