"""Prediction of a batch: what is kept, written and drawn."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vision_research.config.errors import ConfigError
from vision_research.deploy.artifact.detections import Detections
from vision_research.inference.image_source import Picture
from vision_research.inference.predict_images import (
    annotations_of,
    batches,
    class_thresholds,
    image_drawer,
    predict_batch,
)

IMAGE = np.zeros((40, 60, 3), np.uint8)
FOUND = Detections(
    torch.tensor([[1.0, 2, 11, 22], [5, 5, 30, 30], [0, 0, 9, 9]]),
    torch.tensor([0.9, 0.5, 0.3]),
    torch.tensor([0, 1, 0]),
)


class Detector:
    name = "rote"
    classes = ("cat", "dog")

    def predict(self, images: Sequence[Any]) -> list[Detections]:
        assert all(image is IMAGE for image in images)
        return [FOUND] * len(images)


def test_a_batch_keeps_what_scores_as_much_as_its_class_needs(caplog: pytest.LogCaptureFixture) -> None:
    batch = [Picture("a/1.png", IMAGE), Picture("2.png", None, "it cannot be decoded"), Picture("3.jpg", IMAGE)]
    drawn: list[tuple[str, int]] = []
    with caplog.at_level(logging.WARNING):
        first, second, third = predict_batch(
            batch,
            Detector(),
            np.array([0.4, 0.5]),
            lambda picture, found: drawn.append((picture.name, len(found.scores))),
        )
    assert (first["file_name"], first["width"], first["height"]) == ("a/1.png", 60, 40)
    assert [(one["category_id"], one["bbox"], one["area"], one["iscrowd"]) for one in first["annotations"]] == [
        (1, [1, 2, 10, 20], 200, 0),
        (2, [5, 5, 25, 25], 625, 0),
    ]
    assert second == {"file_name": "2.png", "problem": "it cannot be decoded"}
    assert "left out: 2.png (it cannot be decoded)" in caplog.text
    assert third["annotations"] == first["annotations"]
    assert drawn == [("a/1.png", 2), ("3.jpg", 2)]


def test_a_threshold_is_compared_in_double_precision() -> None:
    (entry,) = predict_batch([Picture("1.png", IMAGE)], Detector(), np.array([float(np.float32(0.9)), 1.0]))
    assert [one["score"] for one in entry["annotations"]] == [float(np.float32(0.9))]


def test_masks_are_written_as_run_lengths() -> None:
    found = FOUND._replace(masks=torch.zeros(3, 4, 6, dtype=torch.bool))
    annotations = annotations_of(found)
    assert annotations[0]["segmentation"] == {"size": [4, 6], "counts": "h0"}
    json.dumps(annotations)


def test_images_are_grouped_in_their_order() -> None:
    pictures = [Picture(str(number), None) for number in range(5)]
    assert [[one.name for one in batch] for batch in batches(iter(pictures), 2)] == [["0", "1"], ["2", "3"], ["4"]]


def test_images_are_drawn_below_their_own_names(tmp_path: Path) -> None:
    draw = image_drawer(tmp_path, ("cat", "dog"), 0.6)
    for name in ("a/1.png", "a/1.jpg"):
        draw(Picture(name, IMAGE), FOUND)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["1.jpg", "1.png.jpg"]
    drawn = cv2.imread(str(tmp_path / "a/1.jpg"))
    assert drawn.shape == IMAGE.shape
    assert drawn[22, 5].max() > 100, "the edge of the box that scores 0.9"
    assert drawn[30, 20].max() < 50, "the one that scores 0.5 is not drawn"
    assert not IMAGE.any(), "the image itself stays as it is"


def test_every_class_has_the_same_threshold_or_its_own(tmp_path: Path) -> None:
    assert class_thresholds(None, 0.3, ("cat", "dog")).tolist() == [0.3, 0.3]
    file = tmp_path / "thresholds.json"
    file.write_text(json.dumps({"thresholds": {"dog": 0.25, "cat": 0.5}}))
    assert class_thresholds(str(file), 0.3, ("cat", "dog")).tolist() == [0.5, 0.25]


def test_a_file_that_is_none_and_one_of_other_classes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.json"
    for content in ("{", "[]", "{}"):
        file.write_text(content)
        with pytest.raises(
            ConfigError, match=r"it is no thresholds.json .* Make one: python -m vision_research.threshold"
        ):
            class_thresholds(str(file), 0.3, ("cat",))
    file.write_text(json.dumps({"thresholds": {"cat": 0.5}}))
    with pytest.raises(ConfigError, match="its classes are cat; those of the detector are cat, dog"):
        class_thresholds(str(file), 0.3, ("cat", "dog"))
