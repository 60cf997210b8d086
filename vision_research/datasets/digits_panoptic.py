"""Makes the digits with a map of every pixel: the digits are things, the photographs behind them are stuff.

    <root>/annotations/{train,val,test}.json               COCO JSON of the digits, as the embedded data set has it
    <root>/annotations/panoptic_{train,val,test}.json      COCO panoptic JSON, its maps in the folder of that name

The pictures are those of `digits`, to the byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_research.datasets.digits import CLASSES, write_pictures
from vision_research.datasets.made_once import Generator, make_once
from vision_research.work_dir import write_json

if TYPE_CHECKING:
    from vision_research.datasets.digits_render import Picture

GENERATOR_VERSION = 1
_DEFAULT_COUNTS = {"train": 400, "val": 100, "test": 100}


def make_digits_panoptic(
    folder: Path, *, num_train: int | None = None, num_val: int | None = None, num_test: int | None = None
) -> Path:
    """Make the data set unless it is there; the same bytes every time on one machine.

    Args:
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        num_train: training pictures; None takes what is there, or makes 400.
        num_val: validation pictures; None takes what is there, or makes 100.
        num_test: test pictures; None takes what is there, or makes 100.

    Returns:
        Its absolute folder.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    generator = Generator("digits_panoptic", GENERATOR_VERSION, _DEFAULT_COUNTS, "num_images", 25, _write_split)
    return make_once(generator, folder, {"train": num_train, "val": num_val, "test": num_test})


def _write_split(root: Path, split: str, num_images: int) -> None:
    from vision_research.datasets.digits_render import SCENES

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, picture) in enumerate(write_pictures(root, split, num_images), start=1):
        height, width = picture.image.shape[:2]
        map_name = f"{Path(file_name).with_suffix('.png')}"
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        segments = _write_map(root / "annotations" / f"panoptic_{split}" / map_name, picture)
        annotations.append({"image_id": image_id, "file_name": map_name, "segments_info": segments})
    categories = [
        {"id": index, "name": name, "isthing": int(name in CLASSES)}
        for index, name in enumerate([*CLASSES, *SCENES], start=1)
    ]
    info = {"description": f"Handwritten digits on photographs, {split}", "version": str(GENERATOR_VERSION)}
    write_json(
        root / "annotations" / f"panoptic_{split}.json",
        {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": categories},
    )


def _write_map(file: Path, picture: Picture) -> list[dict[str, Any]]:
    """Write the map of a picture, and describe its segments as COCO does."""
    import numpy as np

    from vision_research.evaluation.panoptic_map import encode_map

    height, width = picture.image.shape[:2]
    ids = np.ones((height, width), dtype=np.int64)
    segments = []
    for number, digit in enumerate(picture.digits, start=2):
        ids[digit.mask] = number
        described = digit.to_coco()
        segments.append({"id": number, **{key: described[key] for key in ("category_id", "bbox", "area", "iscrowd")}})
    behind = {"id": 1, "category_id": len(CLASSES) + 1 + picture.scene, "bbox": [0, 0, width, height], "iscrowd": 0}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_map(ids))
    return [*segments, {**behind, "area": int((ids == 1).sum())}]
