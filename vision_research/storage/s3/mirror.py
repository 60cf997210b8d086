"""Keeps a copy of a run's folder in S3 while the run goes on.

Owns what is there: a checkpoint is named by `last_checkpoint` only once it was verified, and one that the training has
removed goes there too. Knows files by their names, and nothing of what is in them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_research.storage.s3.client import persist, s3_client
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.listing import list_folder
from vision_research.storage.s3.objects import read_current
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import download, remove, upload_bytes
from vision_research.storage.s3.uri import S3Uri
from vision_research.storage.s3.verified import is_uploaded, upload_verified
from vision_research.work_dir import CHECKPOINT_PATTERNS, RESUMABLE_PATTERNS, WorkDir

# What a file was when it went up: inode, time of change, size.
_State = tuple[int, int, int]


class Mirror:
    """One run's folder and its copy.

    Args:
        work_dir: the folder.
        remote: its copy.
        settings: how S3 is reached.
    """

    def __init__(self, work_dir: WorkDir, remote: S3Uri, settings: S3Settings) -> None:
        self._work_dir = work_dir
        self._remote = remote
        self._settings = settings
        self._uploaded: dict[str, _State] = {}
        self._checkpoints: set[str] | None = None
        self._pointer = ""

    def begin(self) -> None:
        """Give up what an earlier command, cut off, has left half uploaded.

        Raises:
            S3Error: it may not be written there, or the server was away for too long.
        """
        where = {"Bucket": self._remote.bucket}
        found = persist(
            lambda: s3_client(self._settings).list_multipart_uploads(**where, Prefix=self._remote.folder_prefix),
            "s3:ListBucketMultipartUploads",
            self._remote,
            self._settings,
        )
        for unfinished in found.get("Uploads", ()):
            client = s3_client(self._settings)
            with suppress(client.exceptions.NoSuchUpload):
                client.abort_multipart_upload(**where, Key=unfinished["Key"], UploadId=unfinished["UploadId"])

    def update(self, *, everything: bool = False) -> None:
        """Make the copy what the folder is now.

        Args:
            everything: logs and exports too, which change all the time while the run goes on.

        Raises:
            S3Error: it was refused, or the server was away for too long; what is there already stays usable.
        """
        for path in self._files(everything):
            # The training removes old checkpoints meanwhile.
            with suppress(FileNotFoundError):
                self._upload(path)
        self._point_at_newest()
        self._remove_old()

    def _files(self, everything: bool) -> list[Path]:
        root = self._work_dir.root
        checkpoints = [path for pattern in CHECKPOINT_PATTERNS for path in root.glob(pattern)]
        checkpoints.sort(key=lambda path: path.stat().st_mtime if path.exists() else 0.0)
        others = [path for path in self._work_dir.inputs if path.is_file()]
        if everything:
            others = [path for path in sorted(root.rglob("*")) if path.is_file() and self._is_to_keep(path)]
        return [*(path for path in others if path not in checkpoints), *checkpoints]

    def _is_to_keep(self, path: Path) -> bool:
        parts = path.relative_to(self._work_dir.root).parts
        passing = (self._work_dir.spool.name, self._work_dir.stop_request.name, self._work_dir.last_checkpoint.name)
        return parts[0] not in passing and not any(part.startswith(".") for part in parts)

    def _upload(self, path: Path) -> None:
        name = path.relative_to(self._work_dir.root).as_posix()
        if self._uploaded.get(name) == _state(path):
            return
        state, target = _state(path), self._remote.child(name)
        with _frozen(path) as copy:
            if not is_uploaded(copy, target, self._settings):
                upload_verified(copy, target, self._settings)
        self._uploaded[name] = state
        if self._checkpoints is not None and _is_checkpoint(name):
            self._checkpoints.add(name)

    def _point_at_newest(self) -> None:
        root = self._work_dir.root
        found = [path for pattern in RESUMABLE_PATTERNS for path in root.glob(pattern) if path.name in self._uploaded]
        if not found:
            return
        newest = str(self._remote.child(max(found, key=lambda path: path.stat().st_mtime).name))
        if newest != self._pointer:
            pointer = self._remote.child(self._work_dir.last_checkpoint.name)
            upload_bytes(newest.encode(), pointer, self._settings)
            self._pointer = newest

    def _remove_old(self) -> None:
        if self._checkpoints is None:
            there = list_folder(self._remote, self._settings)
            self._checkpoints = {entry.name for entry in there if not entry.is_folder and _is_checkpoint(entry.name)}
        for name in sorted(self._checkpoints):
            if not (self._work_dir.root / name).exists():
                remove(self._remote.child(name), self._settings)
                self._checkpoints.discard(name)
                self._uploaded.pop(name, None)


def has_run(remote: S3Uri, settings: S3Settings) -> bool:
    """Tell whether there is a run's copy at an address.

    Raises:
        S3Error: it may not be listed, or the server was away for too long.
    """
    wanted = WorkDir(Path()).config_py.name
    return any(entry.name == wanted and not entry.is_folder for entry in list_folder(remote, settings))


def bring_back(remote: S3Uri, work_dir: WorkDir, settings: S3Settings) -> None:
    """Make a folder from its copy: the files that define the run, how it ended, its last checkpoint and its best ones.

    What the folder has already is kept: on the machine that trained, it is newer than the copy.

    Raises:
        S3Error: it may not be read, or the server was away for too long.
    """
    work_dir.root.mkdir(parents=True, exist_ok=True)
    there = {entry.name for entry in list_folder(remote, settings) if not entry.is_folder}
    wanted = {path.name for path in (*work_dir.inputs, work_dir.outcome)} | {
        name for name in there if Path(name).match("best_*.pth")
    }
    pointer = work_dir.last_checkpoint.name
    if pointer in there:
        with suppress(S3NotFoundError):
            wanted.add(S3Uri.parse(read_current(remote.child(pointer), settings).decode()).name)
    # The config comes last: where it is, the folder holds a whole run.
    for name in sorted(wanted & there, key=lambda name: name == work_dir.config_py.name):
        if not (work_dir.root / name).exists():
            download(remote.child(name), work_dir.root / name, settings)


@contextmanager
def _frozen(path: Path) -> Iterator[Path]:
    """Yield a second name of a file, whose content stays while the first one is removed or written anew."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".upload-") as folder:
        copy = Path(folder, path.name)
        try:
            copy.hardlink_to(path)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copy2(path, copy)
        yield copy


def _is_checkpoint(name: str) -> bool:
    return "/" not in name and any(Path(name).match(pattern) for pattern in CHECKPOINT_PATTERNS)


def _state(path: Path) -> _State:
    status = os.stat(path)  # noqa: PTH116
    return status.st_ino, status.st_mtime_ns, status.st_size
