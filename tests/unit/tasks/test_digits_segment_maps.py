"""The segment maps of the digits: a segment for each digit, and one for the background."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vision_research.datasets.coco.panoptic_png import decode_map
from vision_research.datasets.digits.images import CLASSES
from vision_research.registry import make_embedded


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_every_pixel_is_of_one_segment_and_counted(tmp_path: Path) -> None:
    made = make_embedded("digits_panoptic", tmp_path / "made", train=3, val=1, test=1)
    boxes, maps = load(made / "annotations/train.json"), load(made / "annotations/panoptic_train.json")
    for annotation in maps["annotations"]:
        ids = decode_map((made / "annotations/panoptic_train" / annotation["file_name"]).read_bytes())
        segments = annotation["segments_info"]
        assert {segment["id"]: segment["area"] for segment in segments} == dict(
            zip(*(column.tolist() for column in np.unique(ids, return_counts=True)), strict=True)
        )
        things = [segment for segment in segments if segment["category_id"] <= len(CLASSES)]
        wanted = [entry for entry in boxes["annotations"] if entry["image_id"] == annotation["image_id"]]
        assert [thing["bbox"] for thing in things] == [entry["bbox"] for entry in wanted]
        assert len(segments) == len(things) + 1, "and one photograph behind them"
