"""A folder of images as a data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules

from vision_research.datasets.image_folder import image_folder_dataset, list_images


def test_images_are_found_below_the_folder_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "deep/er/c.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)] == [
        "a.png",
        "b.JPG",
        "deep/er/c.webp",
    ]


@pytest.mark.slow
def test_mmdetection_reads_the_data_set(tmp_path: Path) -> None:
    register_all_modules(init_default_scope=True)
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    dataset = DATASETS.build(image_folder_dataset(images, ("cat", "dog"), tmp_path / "images.json") | {"pipeline": []})
    assert [dataset.get_data_info(index)["img_path"] for index in range(2)] == [str(path) for path in images]
    assert dataset.metainfo["classes"] == ("cat", "dog")
    assert json.loads((tmp_path / "images.json").read_text())["annotations"] == []
