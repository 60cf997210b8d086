"""Random ground truth of COCO's format, and detections near it."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_api

IMAGE_SIZE = 300


def make_dataset(rng: np.random.Generator, num_images: int = 30, num_classes: int = 4) -> dict[str, Any]:
    """Draw boxes of every area range, some of them crowds; every fifth image is empty, the last class has no box."""
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, num_images + 1):
        for _ in range(0 if image_id % 5 == 0 else int(rng.integers(1, 12))):
            width, height = rng.uniform(4, 200, size=2)
            left, top = rng.uniform(0, IMAGE_SIZE - width), rng.uniform(0, IMAGE_SIZE - height)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.integers(1, num_classes)),
                    "bbox": [left, top, width, height],
                    "area": width * height * rng.uniform(0.5, 1),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
    return {
        "images": [{"id": number, "width": IMAGE_SIZE, "height": IMAGE_SIZE} for number in range(1, num_images + 1)],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, num_classes + 1)],
        "annotations": annotations,
    }


def perturb(rng: np.random.Generator, dataset: dict[str, Any], num_noise: int) -> list[dict[str, Any]]:
    """Detect most boxes a little wrong, some twice, some as another class; add noise; scores have ties."""
    detections = []
    categories = [category["id"] for category in dataset["categories"]]
    for annotation in dataset["annotations"]:
        for _ in range(int(rng.integers(0, 3))):
            box = np.array(annotation["bbox"]) * rng.normal(1, 0.07, size=4)
            label = annotation["category_id"] if rng.random() < 0.9 else int(rng.choice(categories))
            detections.append(make_detection(rng, annotation["image_id"], label, box))
    for image in dataset["images"]:
        for _ in range(num_noise):
            box = np.concatenate([rng.uniform(0, 200, size=2), rng.uniform(2, 150, size=2)])
            detections.append(make_detection(rng, image["id"], int(rng.choice(categories)), box))
    return detections


def make_detection(rng: np.random.Generator, image_id: int, label: int, box: np.ndarray[Any, Any]) -> dict[str, Any]:
    value = round(float(rng.random()), 2)
    return {"image_id": image_id, "category_id": label, "bbox": np.maximum(box, 0.5).tolist(), "score": value}


def as_masks(detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace boxes by the masks of ellipses in them."""
    return [
        {key: value for key, value in detection.items() if key != "bbox"} | {"segmentation": ellipse(detection["bbox"])}
        for detection in detections
    ]


def ellipse(box: list[float]) -> dict[str, Any]:
    left, top, width, height = box
    rows, columns = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] + 0.5
    inside = ((columns - left) / width - 0.5) ** 2 + ((rows - top) / height - 0.5) ** 2 <= 0.25
    run_length = mask_api.encode(np.asfortranarray(inside, dtype=np.uint8))
    return {"size": run_length["size"], "counts": run_length["counts"].decode()}
