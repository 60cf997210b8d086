"""The back end beside MMEngine's own for local files: one contract, run on both."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import SameFileError
from typing import Any

import boto3
import mmengine.fileio as fileio
import pytest
from mmengine.fileio import BaseStorageBackend, get_file_backend

from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.errors import S3GaveUpError, S3NotFoundError
from vision_research.storage.s3.reader import fetch
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

ODD_KEYS = ["a b.jpg", "a+b.jpg", "a#b.jpg", "a%20b.jpg", "ä/日本.jpg", "a?b&c=d.jpg", "it's (1) [2].jpg", "x=y,z.jpg"]


@pytest.fixture(params=["s3", "local"])
def tree(request: pytest.FixtureRequest, bucket: str, tmp_path: Path) -> tuple[Any, str]:
    """A back end and a folder with `img.jpg`, `text.txt`, `dir1/img3.jpg` and `dir2/dir3/dir4/img5.jpg`."""
    root = f"{bucket}/root" if request.param == "s3" else str(tmp_path / "root")
    backend = get_file_backend(root)
    for name in ("img.jpg", "dir1/img3.jpg", "dir2/dir3/dir4/img5.jpg"):
        backend.put(name.encode(), f"{root}/{name}")
    backend.put_text("grüße", f"{root}/text.txt")
    return backend, root


def test_the_prefix_is_ours(bucket: str) -> None:
    assert isinstance(get_file_backend(f"{bucket}/x"), S3Backend)
    assert isinstance(get_file_backend(backend_args={"backend": "s3"}), BaseStorageBackend)


def test_bytes_and_text_come_back(tree: tuple[Any, str]) -> None:
    backend, root = tree

    assert backend.get(f"{root}/img.jpg") == b"img.jpg"
    assert backend.get(Path(root, "img.jpg")) == b"img.jpg"
    assert backend.get_text(f"{root}/text.txt") == "grüße"
    backend.put_text("grüße", f"{root}/latin.txt", encoding="latin-1")
    assert backend.get_text(f"{root}/latin.txt", encoding="latin-1") == "grüße"
    with pytest.raises(FileNotFoundError):
        backend.get(f"{root}/none.jpg")


def test_what_is_there_is_known(tree: tuple[Any, str]) -> None:
    backend, root = tree
    asked = [f"{root}/img.jpg", f"{root}/dir1", f"{root}/dir", f"{root}/none.jpg", f"{root}/dir2/dir3"]

    assert [backend.exists(path) for path in asked] == [True, True, False, False, True]
    assert [backend.isfile(path) for path in asked] == [True, False, False, False, False]
    assert [backend.isdir(path) for path in asked] == [False, True, False, False, True]


def test_a_folder_is_listed(tree: tuple[Any, str]) -> None:
    backend, root = tree
    backend.put(b"", f"{root}/.hidden")
    everything = {"img.jpg", "text.txt", "dir1", "dir1/img3.jpg", "dir2", "dir2/dir3", "dir2/dir3/dir4"}
    everything |= {"dir2/dir3/dir4/img5.jpg"}

    assert set(backend.list_dir_or_file(root)) == {"img.jpg", "text.txt", "dir1", "dir2"}
    assert set(backend.list_dir_or_file(root, recursive=True)) == everything
    assert set(backend.list_dir_or_file(root, list_file=False, recursive=True)) == {
        name for name in everything if "." not in name
    }
    images = backend.list_dir_or_file(root, list_dir=False, suffix=(".jpg", ".png"), recursive=True)
    assert set(images) == {name for name in everything if name.endswith(".jpg")}
    with pytest.raises(TypeError, match="should be None when `list_dir` is True"):
        list(backend.list_dir_or_file(root, suffix=".jpg"))
    with pytest.raises(TypeError, match="must be a string or tuple of strings"):
        list(backend.list_dir_or_file(root, list_dir=False, suffix=[".jpg"]))


def test_files_are_copied_and_removed(tree: tuple[Any, str]) -> None:
    backend, root = tree

    assert backend.copyfile(f"{root}/img.jpg", f"{root}/copy.jpg") == f"{root}/copy.jpg"
    assert backend.copyfile(f"{root}/img.jpg", f"{root}/dir1") == f"{root}/dir1/img.jpg"
    assert backend.get(f"{root}/copy.jpg") == backend.get(f"{root}/dir1/img.jpg") == b"img.jpg"
    with pytest.raises(SameFileError):
        backend.copyfile(f"{root}/img.jpg", f"{root}/img.jpg")
    backend.remove(f"{root}/copy.jpg")
    assert not backend.exists(f"{root}/copy.jpg")
    with pytest.raises(FileNotFoundError):
        backend.remove(f"{root}/copy.jpg")
    with pytest.raises(IsADirectoryError):
        backend.remove(f"{root}/dir1")


def test_trees_are_copied_and_removed(tree: tuple[Any, str]) -> None:
    backend, root = tree

    assert backend.copytree(f"{root}/dir2", f"{root}/dir5") == f"{root}/dir5"
    assert backend.get(f"{root}/dir5/dir3/dir4/img5.jpg") == b"dir2/dir3/dir4/img5.jpg"
    with pytest.raises(FileExistsError):
        backend.copytree(f"{root}/dir2", f"{root}/dir1")
    backend.rmtree(f"{root}/dir2")
    assert not backend.exists(f"{root}/dir2")
    assert backend.isdir(f"{root}/dir5")


@pytest.mark.slow
def test_files_go_up_and_come_down(tree: tuple[Any, str], tmp_path: Path) -> None:
    backend, root = tree
    local = tmp_path / "local.bin"
    local.write_bytes(b"local")

    assert backend.copyfile_from_local(local, f"{root}/up.bin") == f"{root}/up.bin"
    assert backend.copyfile_from_local(local, f"{root}/dir1") == f"{root}/dir1/local.bin"
    assert backend.get(f"{root}/dir1/local.bin") == b"local"
    assert str(backend.copyfile_to_local(f"{root}/up.bin", tmp_path / "down.bin")) == str(tmp_path / "down.bin")
    assert (tmp_path / "down.bin").read_bytes() == b"local"
    backend.copytree_to_local(f"{root}/dir2", tmp_path / "tree")
    assert (tmp_path / "tree" / "dir3" / "dir4" / "img5.jpg").read_bytes() == b"dir2/dir3/dir4/img5.jpg"
    backend.copytree_from_local(tmp_path / "tree", f"{root}/again")
    assert backend.get(f"{root}/again/dir3/dir4/img5.jpg") == b"dir2/dir3/dir4/img5.jpg"
    with pytest.raises(FileNotFoundError):
        backend.copyfile_from_local(tmp_path / "none", f"{root}/none")


def test_a_local_copy_lives_as_long_as_it_is_used(bucket: str) -> None:
    backend = get_file_backend(bucket)
    backend.put(b"content", f"{bucket}/dir/model.pth")

    with backend.get_local_path(f"{bucket}/dir/model.pth") as path:
        assert Path(path).read_bytes() == b"content"
        assert Path(path).name == "model.pth"
    assert not Path(path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_character_in_a_key_stands_for_itself(key: str, bucket: str, s3_settings: S3Settings) -> None:
    fileio.put(key.encode(), f"{bucket}/{key}")

    assert fileio.get(f"{bucket}/{key}") == key.encode()
    assert list(fileio.list_dir_or_file(bucket, list_dir=False, recursive=True)) == [key]
    # boto3, with no word of ours, sees the same name.
    theirs = boto3.client("s3", endpoint_url=s3_settings.endpoint_url).list_objects_v2(Bucket=bucket[5:])
    assert [item["Key"] for item in theirs["Contents"]] == [key]


@pytest.mark.slow
def test_a_list_goes_on_over_pages(bucket: str, s3_settings: S3Settings) -> None:
    backend = S3Backend()
    for number in range(1005):
        backend.put(b"", f"{bucket}/many/{number:05}")

    assert list(backend.list_dir_or_file(f"{bucket}/many")) == [f"{number:05}" for number in range(1005)]


def test_parts_of_an_object_are_read(bucket: str, s3_settings: S3Settings) -> None:
    fileio.put(bytes(range(256)), f"{bucket}/object")

    part = fetch(S3Uri.parse(f"{bucket}/object"), s3_settings, byte_range=(10, 20))
    assert part.body == bytes(range(10, 20))


def test_a_presigned_address_needs_no_credentials(bucket: str) -> None:
    from urllib.request import urlopen

    fileio.put(b"content", f"{bucket}/object")

    assert urlopen(fileio.generate_presigned_url(f"{bucket}/object")).read() == b"content"


def test_a_missing_object_is_named_with_its_server(bucket: str, s3_settings: S3Settings) -> None:
    with pytest.raises(S3NotFoundError) as caught:
        fileio.get(f"{bucket}/none")

    assert str(caught.value) == f"There is no {bucket}/none ({s3_settings.endpoint_url})."


@pytest.mark.slow
def test_an_unreachable_server_is_given_up_in_time(s3_credentials: None) -> None:
    backend = S3Backend(endpoint_url="http://127.0.0.1:9", give_up_after_s=0.5)

    with pytest.raises(S3GaveUpError, match=r"storage\.give_up_after_s.*python -m vision_research\.doctor storage=s3"):
        backend.get("s3://bucket/key")


@pytest.mark.slow
def test_a_forked_child_has_connections_of_its_own(bucket: str) -> None:
    for number in range(50):
        fileio.put(str(number).encode() * 1000, f"{bucket}/{number}")
    child = os.fork()
    wrong = sum(fileio.get(f"{bucket}/{number}") != str(number).encode() * 1000 for number in range(50))
    if child == 0:
        os._exit(wrong)
    _, status = os.waitpid(child, 0)

    assert (wrong, os.waitstatus_to_exitcode(status)) == (0, 0)


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError, match="endpoint"):
        get_file_backend(backend_args={"backend": "s3", "endpoint": "http://127.0.0.1"})
