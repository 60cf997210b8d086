from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.config.addresses import absolute, is_s3, join


@pytest.mark.parametrize(
    ("folder", "address", "joined"),
    [
        ("/data", "images/", "/data/images/"),
        ("/data", "/images", "/images"),
        ("/data", "s3://b/k", "s3://b/k"),
        ("s3://b/coco", "images/", "s3://b/coco/images"),
        ("s3://b/coco/", "", "s3://b/coco"),
        ("s3://b", "s3://c/k", "s3://c/k"),
        ("s3://b/coco", "/local/test", "/local/test"),
        ("s3://b/coco", "../lvis/images", "s3://b/lvis/images"),
        ("s3://b/coco/", "./images", "s3://b/coco/images"),
        ("s3://b/coco", "../../..", "s3://b"),
        ("s3:/b/coco", "images", "s3://b/coco/images"),
        ("s3://b/coco", "a..b/.hidden", "s3://b/coco/a..b/.hidden"),
    ],
)
def test_addresses_are_joined(folder: str, address: str, joined: str) -> None:
    assert join(folder, address) == joined


def test_only_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert absolute("data") == str(tmp_path / "data")
    assert absolute("s3://b/coco/") == "s3://b/coco"
    assert is_s3(Path("s3://b/coco"))
