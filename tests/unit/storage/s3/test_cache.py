from __future__ import annotations

import fcntl
import logging
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from vision_research.storage.s3.cache import DiskCache

ENTRY = 1000 + 128  # body, header


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "size"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10_000)
    cache.write("s3://b/k", b"body", '"tag"')

    entry = DiskCache(tmp_path / "cache", 10_000).read("s3://b/k")

    assert entry is not None
    assert (entry.body, entry.etag) == (b"body", '"tag"')
    assert abs(entry.confirmed - time.time()) < 60
    assert cache.read("s3://b/other") is None


def test_a_new_version_replaces_the_old_one(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    for version in range(100):
        cache.write("k", bytes(1000), str(version))

    entry = cache.read("k")
    assert entry is not None and entry.etag == "99"
    assert len(files(tmp_path)) == 1
    assert int((tmp_path / "size").read_text()) == files(tmp_path)[0].stat().st_size


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10 * ENTRY)
    for number in range(10):
        cache.write(str(number), bytes(1000), "tag1")
        os.utime(files(tmp_path)[0])
    for path in files(tmp_path):
        os.utime(path, (1, path.stat().st_mtime))
    cache.read("3")
    cache.write("new", bytes(1000), "tag1")

    assert cache.read("3") is not None
    assert cache.read("new") is not None
    assert len(files(tmp_path)) == 9
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 9 * ENTRY


@pytest.mark.parametrize(
    "damage", [lambda body: body[:-1], lambda body: body[:-1] + b"x", lambda _: b"", lambda _: b"VR"]
)
@pytest.mark.fault("bytes of a cached file change", "it is not used")
def test_a_damaged_file_is_not_used(damage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.write("k", b"body", "tag1")
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    with caplog.at_level(logging.WARNING):
        assert cache.read("k") is None

    assert f"{path} is damaged; k is read again." in caplog.text
    assert not path.exists()


def flip_unseen(path: Path) -> None:
    """Change the last byte as a failing disk does, which tells nobody."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_a_run_wrote_is_not_checked_again_by_it_and_is_by_the_next_one(tmp_path: Path) -> None:
    cache, started = DiskCache(tmp_path, 10_000), time.time() - 1
    cache.write("k", b"body", "tag1")
    (path,) = files(tmp_path)
    flip_unseen(path)

    assert cache.read_sealed("k", started) == b"bodx", "the seal is trusted, the checksum is not computed"
    assert cache.read_sealed("k", time.time() + 1) is None
    assert cache.read("k") is None
    assert not path.exists()


def test_what_is_confirmed_in_a_run_is_sealed_from_then_on(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.write("k", b"body", "tag1")
    time.sleep(0.01)
    started = time.time()
    time.sleep(0.01)
    entry = cache.read("k")
    assert entry is not None and entry.confirmed < started
    assert cache.read_sealed("k", started) is None
    cache.confirm("k", entry)

    assert cache.read_sealed("k", started) == b"body"
    entry = cache.read("k")
    assert entry is not None and started <= entry.confirmed <= time.time()


def test_whatever_is_written_to_a_file_breaks_its_seal(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    for number in range(200):
        cache.write("k", bytes(100) + bytes([number]), "tag1")
        (path,) = files(tmp_path)
        assert cache.read_sealed("k", 0.0) == bytes(100) + bytes([number])
        with path.open("r+b") as file:  # at once, of the same size, and into the same file
            file.seek(-1, os.SEEK_END)
            file.write(b"x")

        assert cache.read_sealed("k", 0.0) is None


def test_a_file_that_was_written_to_is_not_confirmed(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.write("k", b"body", "tag1")
    entry = cache.read("k")
    assert entry is not None
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    cache.confirm("k", entry)

    assert cache.read_sealed("k", 0.0) is None and cache.read("k") is None


def test_where_times_have_no_nanoseconds_the_checksum_is_computed(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.write("k", b"body", "tag1")
    (path,) = files(tmp_path)
    os.utime(path, (time.time(), int(time.time())))

    assert cache.read_sealed("k", 0.0) is None
    entry = cache.read("k")
    assert entry is not None and entry.body == b"body"


def test_an_etag_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.write("k", b"body", 200 * "e")

    entry = cache.read("k")
    assert entry is not None and (entry.body, entry.etag) == (b"body", "")


def test_what_does_not_fit_is_not_kept(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 1000)
    cache.write("k", bytes(1001), "tag1")

    assert cache.read("k") is None


def _fill(folder: str, writer: int) -> None:
    cache = DiskCache(Path(folder), 20 * ENTRY)
    for number in range(60):
        cache.write(f"{writer}-{number}", bytes(1000), "tag1")


def _size_between_writes(folder: Path) -> int:
    with (folder / "size").open("a") as size:
        fcntl.flock(size, fcntl.LOCK_EX)
        return sum(path.stat().st_size for path in files(folder))


@pytest.mark.slow
@pytest.mark.fault("many processes fill the S3 cache at once", "it stays within its bound")
def test_writers_at_once_stay_within_the_bound(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_fill, args=(str(tmp_path), writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    largest = 0
    while any(writer.is_alive() for writer in writers):
        largest = max(largest, _size_between_writes(tmp_path))
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert largest <= 20 * ENTRY
    assert sum(path.stat().st_size for path in files(tmp_path)) == int((tmp_path / "size").read_text())
    assert int((tmp_path / "size").read_text()) <= 20 * ENTRY


@pytest.mark.fault("SIGKILL of a writer of the S3 cache", "what it left is counted, and removed")
def test_what_a_killed_writer_left_is_counted_and_goes(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 5 * ENTRY)
    cache.write("k", bytes(1000), "tag1")
    left = files(tmp_path)[0].parent / ".tmpabc"
    left.write_bytes(bytes(3000))
    os.utime(left, (1, 1))
    (tmp_path / "size").write_text(str(5 * ENTRY))

    cache.write("other", bytes(1000), "tag1")

    assert not left.exists()
    assert int((tmp_path / "size").read_text()) == 2 * ENTRY


@pytest.mark.fault("the disk of the S3 cache is full", "images are read without it, with one warning")
def test_a_full_disk_is_told_once_and_nothing_is_kept(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = DiskCache(small_disk, 10**9)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            cache.write(str(number), bytes(150_000), "tag1")

    kept = cache.read("0")
    assert kept is not None and kept.body == bytes(150_000)
    assert all(cache.read(str(number)) is None for number in range(1, 5))
    assert [record.getMessage() for record in caplog.records] == [
        f"The cache in {small_disk} cannot be used (No space left on device); going on without it."
    ]
    assert len(files(small_disk)) == 1, "nothing half written stays"


@pytest.mark.fault("the folder of the S3 cache cannot be written", "images are read without it, with one warning")
def test_a_folder_that_takes_nothing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = DiskCache(tmp_path / "file" / "cache", 10**9)
    with cache.lock("any"):
        cache.write("k", b"body", "tag1")

    assert cache.read("k") is None and cache.read_slice("k", 0, 1) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"The cache in {tmp_path}/file/cache cannot be used (Not a directory); going on without it."
    ]
