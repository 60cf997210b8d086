"""A small annotation file, and what is found in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_boxes import box_annotation

from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.formats import COCO
from vision_research.datasets.report import AnnotationReport

Tree = dict[str, Any]
Inspect = Callable[..., AnnotationReport]


@pytest.fixture
def tree() -> Tree:
    """Three images of 100 x 50, the last without a box; categories out of id order, as some tools write them."""
    return {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 50} for number in (1, 2, 3)],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            box_annotation(1, 1, 7, [0, 0, 10, 10]),
            box_annotation(2, 1, 3, [90.5, 40, 30, 30]),
            box_annotation(3, 2, 3, [5, 5, 20, 20]),
            box_annotation(4, 2, 3, [5, 5, 20, 20], iscrowd=1),
            box_annotation(5, 2, 3, [5, 5, 20, 20], ignore=1),
        ],
    }


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    """Write a tree (or raw bytes) as `annotations/train.json`, with the images beside it, and look at it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "images" / f"{number}.jpg").touch()

    def run(content: Any, prefix: str | None = None, strict: bool = False) -> AnnotationReport:
        file = tmp_path / "annotations" / "train.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return SplitFiles("train", "annotations/train.json", prefix, "images", COCO).inspect(tmp_path, strict)

    return run
