"""Keeps a copy of a run's folder in S3 up to date during the run.

A checkpoint is named by `last_checkpoint` in S3 only after its upload was verified, so the copy can be resumed from at
any time. A checkpoint that the training has removed is removed in S3 too. Files are selected by name only.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_research.storage.s3.client import s3_client, with_retries
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.listing import list_folder
from vision_research.storage.s3.reader import read_uncached
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import download, is_uploaded, remove, upload_bytes, upload_verified
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import CHECKPOINT_PATTERNS, RESUMABLE_PATTERNS, WorkDir

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0

# State of a file when it was uploaded: inode, modification time in ns, size in bytes.
_State = tuple[int, int, int]


class Mirror:
    """The folder of one run, and its copy in S3.

    Args:
        work_dir: the folder.
        remote: address of the copy.
        settings: how S3 is reached.
    """

    def __init__(self, work_dir: WorkDir, remote: S3Uri, settings: S3Settings) -> None:
        self._work_dir = work_dir
        self._remote = remote
        self._settings = settings
        self._uploaded: dict[str, _State] = {}
        self._checkpoints: set[str] | None = None
        self._pointer = ""

    def abort_unfinished_uploads(self) -> None:
        """Abort the uploads in parts that an earlier, killed command left unfinished; `S3Error` if that fails."""
        where = {"Bucket": self._remote.bucket}
        found = with_retries(
            lambda client: client.list_multipart_uploads(**where, Prefix=self._remote.folder_prefix),
            "s3:ListBucketMultipartUploads",
            self._remote,
            self._settings,
        )
        client = s3_client(self._settings)
        for unfinished in found.get("Uploads", ()):
            with suppress(client.exceptions.NoSuchUpload):
                client.abort_multipart_upload(**where, Key=unfinished["Key"], UploadId=unfinished["UploadId"])

    def update(self, *, everything: bool = False) -> None:
        """Upload what is new or changed, and remove old checkpoints.

        `everything` adds logs and exports, which change all the time during the run. The copy stays usable after an
        `S3Error`, which is raised if S3 refuses something or does not answer in time.
        """
        for path in self._files(everything):
            # The training may remove an old checkpoint meanwhile.
            with suppress(FileNotFoundError):
                self._upload(path)
        self._write_last_checkpoint()
        self._remove_old_checkpoints()

    def _files(self, everything: bool) -> list[Path]:
        root = self._work_dir.root
        checkpoints = self._work_dir.by_age(CHECKPOINT_PATTERNS)
        others = [path for path in self._work_dir.inputs if path.is_file()]
        if everything:
            others = [path for path in sorted(root.rglob("*")) if path.is_file() and self._is_copied(path)]
        return [*(path for path in others if path not in checkpoints), *checkpoints]

    def _is_copied(self, path: Path) -> bool:
        parts = path.relative_to(self._work_dir.root).parts
        temporary = (self._work_dir.spool.name, self._work_dir.stop_request.name, self._work_dir.last_checkpoint.name)
        return parts[0] not in temporary and not any(part.startswith(".") for part in parts)

    def _upload(self, path: Path) -> None:
        name = path.relative_to(self._work_dir.root).as_posix()
        if self._uploaded.get(name) == _state(path):
            return
        state, target = _state(path), self._remote.child(name)
        with _snapshot(path) as copy:
            if not is_uploaded(copy, target, self._settings):
                upload_verified(copy, target, self._settings)
        self._uploaded[name] = state
        if self._checkpoints is not None and _is_checkpoint(name):
            self._checkpoints.add(name)

    def _write_last_checkpoint(self) -> None:
        root = self._work_dir.root
        found = [path for pattern in RESUMABLE_PATTERNS for path in root.glob(pattern) if path.name in self._uploaded]
        if not found:
            return
        newest = str(self._remote.child(max(found, key=lambda path: path.stat().st_mtime).name))
        if newest != self._pointer:
            pointer = self._remote.child(self._work_dir.last_checkpoint.name)
            upload_bytes(newest.encode(), pointer, self._settings)
            self._pointer = newest

    def _remove_old_checkpoints(self) -> None:
        if self._checkpoints is None:
            there = list_folder(self._remote, self._settings)
            self._checkpoints = {entry.name for entry in there if not entry.is_folder and _is_checkpoint(entry.name)}
        for name in sorted(self._checkpoints):
            if not (self._work_dir.root / name).exists():
                remove(self._remote.child(name), self._settings)
                self._checkpoints.discard(name)
                self._uploaded.pop(name, None)


class MirrorThread(threading.Thread):
    """Updates the copy every few seconds. While S3 does not answer, it warns once and tries again.

    Args:
        mirror: the folder and its copy.
        interval_s: seconds between two updates.
    """

    def __init__(self, mirror: Mirror, interval_s: float = INTERVAL_S) -> None:
        super().__init__(name="s3-mirror", daemon=True)
        self._mirror = mirror
        self._interval_s = interval_s
        self._ends = threading.Event()
        self._problem: S3Error | None = None

    def run(self) -> None:
        """Update until `finish` ends it."""
        if sys.platform == "linux":
            # The lowest priority, for this thread and those that it starts, so that they take no time from training.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not self._ends.wait(self._interval_s):
            self._update(everything=False)
        self._update(everything=True)

    def finish(self) -> None:
        """Upload the rest of the folder, and end the thread; `S3Error` if the copy is not complete."""
        self._ends.set()
        self.join()
        if self._problem is not None:
            raise self._problem

    def _update(self, *, everything: bool) -> None:
        try:
            self._mirror.update(everything=everything)
        except S3Error as error:
            if self._problem is None:
                logger.warning("The copy of the run in S3 is behind, and is tried again: %s", error)
            self._problem = error
        else:
            self._problem = None


def has_run(remote: S3Uri, settings: S3Settings) -> bool:
    """Tell whether the copy of a run, which has a `config.py`, is at an address.

    Args:
        remote: the address.
        settings: how S3 is reached.

    Raises:
        S3Error: listing was refused, or the server did not answer in time.
    """
    config_name = WorkDir(Path()).config_py.name
    return any(entry.name == config_name and not entry.is_folder for entry in list_folder(remote, settings))


def download_run(remote: S3Uri, work_dir: WorkDir, settings: S3Settings) -> None:
    """Download a run: the files that define it, its outcome, its last checkpoint and its best ones.

    Files that the folder already has are kept: on the machine that trained, they are newer than the copy.

    Args:
        remote: address of the copy.
        work_dir: target; made if absent.
        settings: how S3 is reached.

    Raises:
        S3Error: reading was refused, or the server did not answer in time.
    """
    work_dir.root.mkdir(parents=True, exist_ok=True)
    there = {entry.name for entry in list_folder(remote, settings) if not entry.is_folder}
    needed = {path.name for path in (*work_dir.inputs, work_dir.outcome)} | {
        name for name in there if Path(name).match("best_*.pth")
    }
    pointer = work_dir.last_checkpoint.name
    if pointer in there:
        with suppress(S3NotFoundError):
            needed.add(S3Uri.parse(read_uncached(remote.child(pointer), settings).decode()).name)
    # The config comes last, because a folder with a config counts as a complete run.
    for name in sorted(needed & there, key=lambda name: name == work_dir.config_py.name):
        if not (work_dir.root / name).exists():
            download(remote.child(name), work_dir.root / name, settings)


@contextmanager
def _snapshot(path: Path) -> Iterator[Path]:
    """Yield a hard link to a file, which keeps the content while the file itself is removed or replaced."""
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
