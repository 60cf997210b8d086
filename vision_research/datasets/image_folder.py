"""A folder of images without annotations, as a data set: to verify an exported model on, or to predict on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def list_images(folder: Path) -> list[Path]:
    """List the images in a folder and below it, in the order of their paths, without hidden files."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in IMAGE_SUFFIXES)


def _files(folder: Path) -> Iterator[Path]:
    # Not rglob, which S3 paths lack. There, is_dir() of a file would cost a request, so is_file() comes first.
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from _files(path)


def image_folder_dataset(images: Sequence[Path], classes: Sequence[str], ann_file: Path) -> dict[str, Any]:
    """Write images to a COCO file without annotations, and return the config of its data set.

    Args:
        images: files that exist.
        classes: class names of the detector, in the order of the labels.
        ann_file: the COCO file to write. The sizes in it are 1, because nothing uses them.
    """
    document = {
        "images": [
            {"id": number, "file_name": str(path.absolute()), "height": 1, "width": 1}
            for number, path in enumerate(images, start=1)
        ],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
        "annotations": [],
    }
    ann_file.write_text(json.dumps(document), encoding="utf-8")
    return {
        "type": "CocoDataset",
        "data_root": "",
        "ann_file": str(ann_file),
        "data_prefix": {"img": ""},
        "metainfo": {"classes": tuple(classes)},
        "test_mode": True,
        "backend_args": None,
    }
