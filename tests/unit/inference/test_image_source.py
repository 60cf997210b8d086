"""Images of a folder, a file, a video, and a folder in S3."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from s3_server import S3Server

from vision_research.config.errors import ConfigError
from vision_research.inference.image_source import find_images
from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.settings import S3Settings, set_default_settings


def paint(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "deep").mkdir(parents=True)
    cv2.imwrite(str(root / "a.png"), paint(10))
    (root / "b.png").write_bytes(b"no image")
    (root / "c.png").write_bytes(b"")
    cv2.imwrite(str(root / "deep/d.png"), paint(40))
    return root


def test_a_folder_gives_every_image_in_order_and_names_those_that_are_none(folder: Path) -> None:
    source = find_images(str(folder))
    pictures = list(source.pictures())
    assert [picture.name for picture in pictures] == ["a.png", "b.png", "c.png", "deep/d.png"]
    assert [picture.problem for picture in pictures] == ["", "it cannot be decoded", "it cannot be decoded", ""]
    assert pictures[3].image is not None and pictures[3].image[0, 0].tolist() == [40, 40, 40]
    assert [picture.name for picture in source.pictures(start=2)] == ["c.png", "deep/d.png"]
    assert len(source) == 4


def test_a_file_is_one_image(folder: Path) -> None:
    assert [picture.name for picture in find_images(str(folder / "a.png")).pictures()] == ["a.png"]


def test_a_video_is_read_frame_by_frame_from_any_frame_on(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in range(0, 200, 20):
        writer.write(paint(value))
    writer.release()
    source = find_images(str(path))
    whole = list(source.pictures())
    assert len(source) == len(whole) == 10
    assert whole[0].name == "film.avi/frame_000001"
    rest = list(source.pictures(start=7))
    assert [picture.name for picture in rest] == [picture.name for picture in whole[7:]]
    assert rest[0].image is not None and abs(int(rest[0].image[0, 0, 0]) - 140) < 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "images is not set"),
        (lambda root: str(root / "nowhere"), "there is no such file or folder"),
        (lambda root: str(root / "empty"), r"no image is in it \(.bmp, .jpeg"),
        (lambda root: str(root / "broken.mp4"), "OpenCV cannot open this video"),
    ],
)
def test_what_holds_no_image_is_refused(tmp_path: Path, make, message: str) -> None:  # noqa: ANN001
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match=message):
        find_images(make(tmp_path))


@pytest.mark.slow
def test_a_folder_in_s3_is_read_as_a_local_one_is(
    folder: Path, s3_server: S3Server, s3_credentials: None, tmp_path: Path
) -> None:
    client = s3_client(S3Settings(endpoint_url=s3_server.endpoint))
    client.create_bucket(Bucket="pictures")
    for path in folder.rglob("*.png"):
        client.upload_file(str(path), "pictures", f"some/{path.relative_to(folder)}")
    set_default_settings(S3Settings(endpoint_url=s3_server.endpoint, cache_dir=str(tmp_path / "cache")))
    try:
        pictures = list(find_images("s3://pictures/some").pictures())
    finally:
        set_default_settings(None)
    assert [picture.name for picture in pictures] == ["a.png", "b.png", "c.png", "deep/d.png"]
    assert [picture.image is not None for picture in pictures] == [True, False, False, True]
