"""A folder in S3, looked at as a local one is."""

from __future__ import annotations

import os

import mmengine.fileio as fileio
import pytest

from vision_research.storage.s3.path import S3Path, as_path


def test_a_folder_is_looked_at(bucket: str) -> None:
    fileio.put(b"12345", f"{bucket}/coco/images/a b.jpg")
    root = as_path(f"{bucket}/coco")
    image = root / "images" / "a b.jpg"

    assert (str(image), image.name) == (f"{bucket}/coco/images/a b.jpg", "a b.jpg")
    assert (root.is_dir(), root.is_file(), root.exists()) == (True, False, True)
    assert (image.is_file(), image.is_dir(), image.read_bytes()) == (True, False, b"12345")
    assert image.stat().st_size == 5
    assert [str(path) for path in root.iterdir()] == [f"{bucket}/coco/images"]
    assert image.is_relative_to(root) and str(image.relative_to(root)) == "images/a b.jpg"
    assert not (root / "none").exists()
    with pytest.raises(FileNotFoundError):
        (root / "none").read_bytes()


def test_an_empty_bucket_is_a_folder(bucket: str) -> None:
    assert as_path(bucket).is_dir()


def test_no_function_of_the_operating_system_takes_it(bucket: str) -> None:
    with pytest.raises(TypeError, match="is no file of this machine"):
        os.stat(S3Path(bucket))  # noqa: PTH116
