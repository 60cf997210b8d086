"""Which files of a data set are there, and which can be decoded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_research.datasets.image_files import missing_files, sample_problems, sizes_digest


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Twenty JPEG files of 16 x 16."""
    paths = [tmp_path / f"{number:02d}.jpg" for number in range(20)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((16, 16, 3), number, np.uint8))
    return paths


def test_missing_files_keep_the_order_and_look_into_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    (tmp_path / "2.jpg").touch()
    absolute = str(tmp_path / "2.jpg")

    assert missing_files(tmp_path, ["9.jpg", "a/1.jpg", "2.jpg", "b/1.jpg", absolute, "a/2.jpg", "a/../2.jpg"]) == [
        "9.jpg",
        "b/1.jpg",
        "a/2.jpg",
    ]


def test_a_folder_is_listed_once_however_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or iterdir(folder))

    assert len(missing_files(tmp_path, [f"{number}.jpg" for number in range(1000)])) == 1000
    assert listed == [tmp_path]


@pytest.mark.parametrize("name", ["a\0.jpg", "a\0/b.jpg", "\ud800/b.jpg", "x" * 5000 + "/b.jpg"])
def test_names_no_file_system_has_are_missing(tmp_path: Path, name: str) -> None:
    assert missing_files(tmp_path, [name]) == [name]


def test_sound_images_are_no_problem(images: list[Path]) -> None:
    assert sample_problems("data.train_ann=a.json", images) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"no image at all", "no image"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer; type git lfs pull"),
    ],
)
def test_a_broken_first_image_is_named(images: list[Path], content: bytes, reason: str) -> None:
    images[0].write_bytes(content)

    assert sample_problems("data.train_ann=a.json", images, num_samples=4) == [
        f"data.train_ann=a.json: 1 of 4 sampled images cannot be decoded: {images[0]} ({reason}). Replace these files, "
        "or take them out of the annotations"
    ]


def test_a_truncated_jpeg_is_found_though_opencv_4_decodes_it(images: list[Path]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(images[0]), noise)
    images[0].write_bytes(images[0].read_bytes()[:-200])

    assert "(truncated JPEG)" in sample_problems("data.root", images)[0]


def test_samples_are_spread_over_the_whole_list(images: list[Path]) -> None:
    images[10].unlink()

    assert sample_problems("data.root", images, num_samples=2)[0].startswith("data.root: 1 of 2 sampled images")
    assert f"{images[10]} (No such file or directory)" in sample_problems("data.root", images, num_samples=2)[0]
    assert sample_problems("data.root", images, num_samples=3) == []


def test_the_digest_changes_with_names_and_sizes_and_not_with_order(images: list[Path]) -> None:
    folder, names = images[0].parent, [path.name for path in images]
    digest = sizes_digest(folder, names)

    assert sizes_digest(folder, reversed(names)) == digest
    assert sizes_digest(folder, names[1:]) != digest
    images[3].write_bytes(images[3].read_bytes() + b"\0")
    assert sizes_digest(folder, names) != digest
