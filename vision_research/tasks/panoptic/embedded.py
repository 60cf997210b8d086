"""The data set `digits_panoptic`: the images of `digits` with a segment map each.

    <root>/annotations/{train,val,test}.json               COCO JSON of the digits
    <root>/annotations/panoptic_{train,val,test}.json      COCO panoptic JSON, its maps in the folder of that name

Digits are things, and the photographs behind them are stuff. Images and boxes are identical to those of `digits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_research.datasets.coco.annotation_file import AnnotatedImages, write_annotations
from vision_research.datasets.digits.images import (
    CLASSES,
    DEFAULT_COUNTS,
    coco_object,
    describe,
    write_boxes,
    write_images,
)
from vision_research.datasets.digits.maker import EmbeddedDataset

if TYPE_CHECKING:
    from vision_research.datasets.digits.scenes import Scene

_VERSION = 1


def _write_split(root: Path, split: str, num_images: int) -> None:
    from vision_research.datasets.digits.rendering import PHOTOGRAPHS

    content = AnnotatedImages()
    maps: list[dict[str, Any]] = []
    name = f"panoptic_{split}"
    for image, scene in write_images(root, split, num_images):
        objects = [coco_object(digit) for digit in scene.digits]
        content.add(image, objects)
        map_name = str(Path(image["file_name"]).with_suffix(".png"))
        segments = _write_map(root / "annotations" / name / map_name, scene, objects)
        maps.append({"image_id": image["id"], "file_name": map_name, "segments_info": segments})
    write_boxes(root, split, content)
    categories = [
        {"id": index, "name": name, "isthing": int(name in CLASSES)}
        for index, name in enumerate([*CLASSES, *PHOTOGRAPHS], start=1)
    ]
    file = root / "annotations" / f"{name}.json"
    lists = {"licenses": [], "images": content.images, "annotations": maps, "categories": categories}
    write_annotations(file, describe(split), _VERSION, **lists)


def _write_map(file: Path, scene: Scene, objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the map of a scene; return its segments in COCO's format, first the digits, then the background."""
    import numpy as np

    from vision_research.datasets.coco.panoptic_png import encode_map

    height, width = scene.image.shape[:2]
    ids = np.ones((height, width), dtype=np.int64)
    segments = []
    for segment_id, (digit, described) in enumerate(zip(scene.digits, objects, strict=True), start=2):
        ids[digit.mask] = segment_id
        kept = {key: described[key] for key in ("category_id", "bbox", "area", "iscrowd")}
        segments.append({"id": segment_id, **kept})
    category = len(CLASSES) + 1 + scene.photograph
    background = {"id": 1, "category_id": category, "bbox": [0, 0, width, height], "iscrowd": 0}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_map(ids))
    return [*segments, {**background, "area": int((ids == 1).sum())}]


DIGITS_PANOPTIC = EmbeddedDataset("digits_panoptic", _VERSION, DEFAULT_COUNTS, "num_images", 25, _write_split)
