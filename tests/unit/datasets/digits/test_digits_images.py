"""The data set `digits`: valid COCO files, tight boxes and masks, digits that can be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.formats import COCO
from vision_research.registry import make_embedded

COUNTS = {"train": 12, "val": 4, "test": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits", tmp_path_factory.mktemp("data") / "digits", **COUNTS)


def load(root: Path, split: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / f"annotations/{split}.json").read_text())
    return content


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_is_a_flawless_coco_file(made: Path, split: str) -> None:
    report = SplitFiles(split, f"annotations/{split}.json", None, "images", COCO).inspect(made, strict=True)

    assert report.problems == report.warnings == ()
    assert report.categories == tuple((digit + 1, str(digit)) for digit in range(10))
    assert report.num_images == COUNTS[split]
    assert 2 * report.num_images <= report.num_boxes <= 8 * report.num_images


def test_boxes_are_tight_around_masks_that_do_not_overlap(made: Path) -> None:
    content = load(made, "train")
    for image in content["images"]:
        covered = np.zeros((image["height"], image["width"]), dtype=int)
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == image["id"]):
            mask = mask_api.decode(annotation["segmentation"])
            covered += mask
            assert mask_api.toBbox(annotation["segmentation"]).tolist() == annotation["bbox"]
            assert annotation["area"] == mask.sum()
        assert covered.max() == 1


def test_digits_stand_out_from_what_is_around_them(made: Path) -> None:
    content = load(made, "train")
    contrasts = []
    for image in content["images"]:
        grey = cv2.imread(str(made / "images" / image["file_name"]), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        assert grey.shape == (image["height"], image["width"])
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == image["id"]):
            mask = mask_api.decode(annotation["segmentation"]).astype(bool)
            ring = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~mask
            contrasts.append(abs(float(grey[mask].mean()) - float(grey[ring].mean())))

    assert np.median(contrasts) > 50
    assert np.quantile(contrasts, 0.05) > 15


def test_a_larger_set_begins_with_the_smaller_one(made: Path, tmp_path: Path) -> None:
    larger = make_embedded("digits", tmp_path / "larger", train=13, val=0, test=0)

    name = "images/train/000012.jpg"
    assert (larger / name).read_bytes() == (made / name).read_bytes()
