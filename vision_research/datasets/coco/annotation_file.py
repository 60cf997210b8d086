"""Writes annotation files in COCO's format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_research.work_dir import write_json


@dataclass
class AnnotatedImages:
    """The images of a split and their objects, as COCO's lists `images` and `annotations`."""

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, image: dict[str, Any], objects: Iterable[Mapping[str, Any]]) -> None:
        """Add an image with its objects.

        Args:
            image: its entry, `id` included.
            objects: their entries without `id` and `image_id`, which are added here.
        """
        self.images.append(image)
        for one in objects:
            self.annotations.append({"id": len(self.annotations) + 1, "image_id": image["id"], **one})


def write_annotations(file: Path, description: str, version: int, **lists: object) -> None:
    """Write an annotation file; its folder is made when missing.

    Args:
        file: JSON file to write.
        description: for a reader of the file.
        version: version of the data set.
        **lists: `images`, `annotations`, ..., written in this order after `info`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"info": {"description": description, "version": str(version)}, **lists})
