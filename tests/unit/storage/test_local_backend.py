"""Writes through `mmengine.fileio` are all or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
from mmengine.fileio import get_file_backend
from mmengine.fileio.backends.local_backend import LocalBackend as MMEngineLocalBackend
from mmengine.fileio.io import backend_instances

from vision_research.storage.local_backend import LocalBackend, register

OLD = b"old checkpoint"

# The child stops itself in the middle of the write, so that the parent kills it at exactly that moment.
KILLED_WRITER = """
import os, sys
from mmengine.fileio import put
import vision_research.storage.local_backend

real_fsync = os.fsync
def hang(handle):
    print("written", flush=True)
    sys.stdin.read()
os.fsync = hang
put(b"x" * 1_000_000, sys.argv[1])
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "epoch_1.pth"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)


def test_a_plain_path_gets_our_backend(tmp_path: Path) -> None:
    assert type(get_file_backend(str(tmp_path / "a.pth"))) is LocalBackend
    assert type(get_file_backend(backend_args={"backend": "local"})) is LocalBackend


def test_registering_forgets_the_instances_mmengine_made_before() -> None:
    backend_instances[":{}"] = MMEngineLocalBackend()

    register()

    assert type(get_file_backend("path", enable_singleton=True)) is LocalBackend


def test_put_replaces_the_content_and_makes_missing_folders(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "epoch_1.pth"

    mmengine.fileio.put(b"first", target)
    mmengine.fileio.put(b"second", target)

    assert target.read_bytes() == b"second"
    assert [path.name for path in target.parent.iterdir()] == ["epoch_1.pth"]


def test_put_text_keeps_to_the_encoding(tmp_path: Path) -> None:
    backend = get_file_backend(str(tmp_path))

    backend.put_text("\u00e4", tmp_path / "latin.txt", encoding="latin-1")

    assert (tmp_path / "latin.txt").read_bytes() == b"\xe4"


def test_mmengine_dump_is_atomic_too(target: Path, full_disk: None) -> None:
    config = target.with_suffix(".json")
    config.write_text("{}")

    with pytest.raises(OSError, match="No space left"):
        mmengine.dump({"a": 1}, str(config))

    assert config.read_text() == "{}"


@pytest.mark.fault(
    "the disk is full while a checkpoint is written", "the old file stays whole, and nothing else is left"
)
def test_a_failing_put_leaves_the_old_file_and_no_other(target: Path, full_disk: None) -> None:
    with pytest.raises(OSError, match="No space left"):
        LocalBackend().put(b"new", target)

    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_a_failing_copy_leaves_the_old_file_and_no_other(tmp_path: Path, target: Path, full_disk: None) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"new")

    with pytest.raises(OSError, match="No space left"):
        LocalBackend().copyfile_from_local(source, target)

    assert target.read_bytes() == OLD
    assert sorted(tmp_path.iterdir()) == [target, source]


@pytest.mark.fault("SIGKILL while a checkpoint is written", "the old file stays whole")
def test_a_kill_in_the_middle_of_a_put_leaves_the_old_file_whole(target: Path) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)

    assert child.returncode == -signal.SIGKILL
    assert target.read_bytes() == OLD


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        LocalBackend().put(b"x", tmp_path / "shared.pth")
    finally:
        os.umask(before)

    assert (tmp_path / "shared.pth").stat().st_mode & 0o777 == mode


def test_a_symbolic_link_stays_one(tmp_path: Path, target: Path) -> None:
    link = tmp_path / "latest.pth"
    link.symlink_to(target)

    LocalBackend().put(b"new", link)

    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        LocalBackend().put(b"through", pipe)
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)

    assert pipe.is_fifo()


def test_copyfile_keeps_permissions_and_takes_a_folder_as_target(tmp_path: Path, target: Path) -> None:
    target.chmod(0o600)
    folder = tmp_path / "folder"
    folder.mkdir()

    copy = LocalBackend().copyfile(target, folder)

    assert copy == str(folder / "epoch_1.pth")
    assert Path(copy).read_bytes() == OLD
    assert Path(copy).stat().st_mode & 0o777 == 0o600


def test_copying_a_file_onto_itself_is_refused(target: Path) -> None:
    with pytest.raises(shutil.SameFileError):
        LocalBackend().copyfile(target, target)

    assert target.read_bytes() == OLD


def test_copytree_copies_files_and_refuses_an_existing_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(OLD)

    copy = LocalBackend().copytree_from_local(tmp_path / "a", tmp_path / "c")

    assert copy == str(tmp_path / "c")
    assert (tmp_path / "c" / "b" / "file").read_bytes() == OLD
    with pytest.raises(FileExistsError):
        LocalBackend().copytree(tmp_path / "a", tmp_path / "c")
