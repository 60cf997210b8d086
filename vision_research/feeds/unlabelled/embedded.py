"""The data set `digits_semi`: the images of `digits`, of which a quarter of the training split has annotations.

    <root>/annotations/{train,val,test}.json      COCO JSON; `train` lists the first quarter of the training images
    <root>/annotations/unlabelled.json            the other training images, as COCO's image_info_*.json lists them

The images are identical to those of `digits`.
"""

from __future__ import annotations

from pathlib import Path

from vision_research.datasets.coco.annotation_file import AnnotatedImages, write_annotations
from vision_research.datasets.digits.images import (
    CATEGORIES,
    DEFAULT_COUNTS,
    coco_object,
    describe,
    write_boxes,
    write_images,
)
from vision_research.datasets.digits.maker import EmbeddedDataset

_VERSION = 1
# Training images per labelled one.
_IMAGES_PER_LABEL = 4


def _write_split(root: Path, split: str, num_images: int) -> None:
    num_labelled = -(-num_images // _IMAGES_PER_LABEL) if split == "train" else num_images
    content, unlabelled = AnnotatedImages(), []
    for image, scene in write_images(root, split, num_images):
        if len(content.images) < num_labelled:
            content.add(image, map(coco_object, scene.digits))
        else:
            unlabelled.append(image)
    if split != "train":
        write_boxes(root, split, content)
        return
    folder, description = root / "annotations", describe(split)
    labelled = {"categories": CATEGORIES, "images": content.images, "annotations": content.annotations}
    write_annotations(folder / "train.json", description, _VERSION, licenses=[], **labelled)
    write_annotations(folder / "unlabelled.json", description, _VERSION, licenses=[], images=unlabelled)


DIGITS_SEMI = EmbeddedDataset("digits_semi", _VERSION, DEFAULT_COUNTS, "num_images", 20, _write_split)
