"""The data set `digits`: images of digits with boxes and masks.

    <root>/annotations/{train,val,test}.json      COCO JSON
    <root>/images/<split>/000001.jpg              the images

Data sets that are built on these images use the functions without an underscore.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_research.datasets.coco.annotation_file import AnnotatedImages, write_annotations
from vision_research.datasets.digits.maker import EmbeddedDataset

if TYPE_CHECKING:
    from vision_research.datasets.digits.scenes import Scene, SceneDigit

CLASSES = tuple(str(digit) for digit in range(10))
DEFAULT_COUNTS = {"train": 400, "val": 100, "test": 100}
_VERSION = 1


def _write_split(root: Path, split: str, num_images: int) -> None:
    content = AnnotatedImages()
    for image, scene in write_images(root, split, num_images):
        content.add(image, map(coco_object, scene.digits))
    write_boxes(root, split, content)


def write_images(root: Path, split: str, num_images: int) -> Iterator[tuple[dict[str, Any], Scene]]:
    """Generate the images of a split, write each as a JPEG file, and yield its COCO entry and its scene.

    Args:
        root: folder of the data set.
        split: `train`, `val` or `test`.
        num_images: how many.
    """
    from vision_research.datasets.digits.rendering import encode_jpeg
    from vision_research.datasets.digits.scenes import SceneGenerator

    folder = root / "images"
    (folder / split).mkdir(parents=True)
    generator = SceneGenerator(split)
    for image_id in range(1, num_images + 1):
        scene = generator.image(image_id)
        file_name = f"{split}/{image_id:06d}.jpg"
        (folder / file_name).write_bytes(encode_jpeg(scene.image))
        height, width = scene.image.shape[:2]
        yield {"id": image_id, "file_name": file_name, "width": width, "height": height}, scene


def write_boxes(root: Path, split: str, content: AnnotatedImages) -> None:
    """Write the COCO file of a split.

    Args:
        root: folder of the data set.
        split: `train`, `val` or `test`; names the file.
        content: the images and annotations.
    """
    write_annotations(
        root / "annotations" / f"{split}.json",
        describe(split),
        _VERSION,
        licenses=[],
        images=content.images,
        annotations=content.annotations,
        categories=CATEGORIES,
    )


def describe(split: str) -> str:
    """Return the description that annotation files of a split hold."""
    return f"Handwritten digits on photographs, {split}"


def coco_object(digit: SceneDigit) -> dict[str, Any]:
    """Return a digit as a COCO object: xywh box and run-length mask of its visible pixels, since digits have holes."""
    from vision_research.datasets.digits.rendering import tight_box
    from vision_research.evaluation.coco_results import encode_mask

    left, top, right, bottom = tight_box(digit.mask)
    return {
        "category_id": digit.label + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(digit.mask.sum()),
        "iscrowd": 0,
        "segmentation": encode_mask(digit.mask),
    }


CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
DIGITS = EmbeddedDataset("digits", _VERSION, DEFAULT_COUNTS, "num_images", 20, _write_split)
