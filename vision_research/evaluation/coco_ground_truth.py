"""Prepares a COCO data set for scoring: renumbers its ids and drops boxes that no detection can match.

Pure: the given data set is not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GroundTruth:
    """A data set ready to be scored against.

    Attributes:
        dataset: COCO data set; annotation ids count from 1, the category ids are label + 1.
        image_numbers: image id in `dataset` by the id in the annotation file, which may be a string.
        num_dropped: how many boxes without size or outside of their image were dropped.
    """

    dataset: dict[str, Any]
    image_numbers: dict[int | str, int]
    num_dropped: int


def prepare_ground_truth(dataset: dict[str, Any], category_ids: Sequence[int | str]) -> GroundTruth:
    """Renumber a COCO data set and drop boxes that cannot be detected.

    Annotation ids are renumbered because COCO's evaluation reads a match with annotation 0 as no match. Images keep
    their order by id, since it decides between detections of equal score. Category ids are label + 1, so that the
    results are in label order even if a file does not list its categories by rising id (MMDetection 3.3's CocoMetric
    then writes the AP of one class under the name of another).

    Args:
        dataset: `images`, `categories` and `annotations`, which may be absent.
        category_ids: the category ids of the labels 0, 1, ...; annotations of other categories are left out.

    Returns:
        A new data set; annotations are shallow copies.
    """
    ids = [image["id"] for image in dataset["images"]]
    numbers = {
        image_id: number
        for number, image_id in enumerate(
            sorted(ids, key=lambda image_id: (isinstance(image_id, str), image_id)), start=1
        )
    }
    labels = {category_id: label for label, category_id in enumerate(category_ids)}
    sizes = {image["id"]: (image["width"], image["height"]) for image in dataset["images"]}
    annotations: list[dict[str, Any]] = []
    num_dropped = 0
    for annotation in dataset.get("annotations", []):
        image_id = annotation["image_id"]
        if annotation["category_id"] not in labels or image_id not in numbers:
            continue
        if _is_impossible(annotation["bbox"], *sizes[image_id]):
            num_dropped += 1
            continue
        changed = {
            "id": len(annotations) + 1,
            "image_id": numbers[image_id],
            "category_id": labels[annotation["category_id"]] + 1,
            "iscrowd": int(annotation.get("iscrowd", 0)),
            "area": annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3]),
        }
        annotations.append(annotation | changed)
    images = [image | {"id": numbers[image["id"]]} for image in dataset["images"]]
    categories = [{"id": label + 1, "name": str(label)} for label in range(len(labels))]
    renumbered = {"images": images, "annotations": annotations, "categories": categories}
    return GroundTruth(renumbered, numbers, num_dropped)


def _is_impossible(box: Sequence[float], image_width: float, image_height: float) -> bool:
    """Tell whether an xywh box has no area or lies outside of the image, so that no detection can match it.

    Training also drops boxes under 1 pixel. Here they stay, because COCO's evaluation counts them.
    """
    left, top, width, height = box
    shown_width = min(left + width, image_width) - max(left, 0)
    shown_height = min(top + height, image_height) - max(top, 0)
    return not (width > 0 and height > 0 and shown_width > 0 and shown_height > 0)
