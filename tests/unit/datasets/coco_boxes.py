"""A box as an annotation file has it."""

from __future__ import annotations

from typing import Any


def box_annotation(number: int, image_id: int, category_id: int, box: list[float], **fields: Any) -> dict[str, Any]:
    area = box[2] * box[3]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "area": area,
        "iscrowd": 0,
    } | fields
