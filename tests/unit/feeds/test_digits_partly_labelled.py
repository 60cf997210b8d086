"""The digits for semi-supervised learning: a quarter of the training images has annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vision_research.registry import make_embedded

COUNTS = {"train": 6, "val": 1, "test": 1}


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_a_quarter_is_labelled_and_the_rest_are_images_alone(tmp_path: Path) -> None:
    plain = make_embedded("digits", tmp_path / "digits", **COUNTS)
    made = make_embedded("digits_semi", tmp_path / "semi", **COUNTS)
    whole = load(plain / "annotations/train.json")
    labelled, unlabelled = load(made / "annotations/train.json"), load(made / "annotations/unlabelled.json")
    assert labelled["images"] + unlabelled["images"] == whole["images"]
    assert len(labelled["images"]) == 2, "a quarter of six, and one where that is none"
    assert labelled["annotations"] == [entry for entry in whole["annotations"] if entry["image_id"] <= 2]
    assert not {"annotations", "categories"} & unlabelled.keys()
