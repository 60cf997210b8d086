"""Files of the zoo through the product: with their own data set, and their parts around the digits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from workplace import Workplace

from vision_research.registry import make_embedded

pytestmark = pytest.mark.slow

QUIET = ("debug=one_batch", "hw=cpu", "hw.num_threads=1", "tracking=none", "export=none")


def write_coco(root: Path) -> None:
    """Two images in the layout and with two of the classes of COCO."""
    document = {
        "images": [{"id": index, "file_name": f"{index}.jpg", "height": 96, "width": 128} for index in range(2)],
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": index + 1, "image_id": index, "category_id": 3, "bbox": [20, 20, 60, 40], "area": 2400, "iscrowd": 0}
            for index in range(2)
        ],
    }
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
        (root / split).mkdir()
        for index in range(2):
            picture = np.full((96, 128, 3), 90, np.uint8)
            picture[20:60, 20:80] = 230
            assert cv2.imwrite(str(root / split / f"{index}.jpg"), picture)


def test_an_experiment_trains_on_the_data_set_of_its_file(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    words = ("experiment=zoo/retinanet/retinanet_r18_fpn_1x_coco", "model.weights=none", "image_size=[96,128]", *QUIET)
    write_coco(tmp_path / "coco")
    printed = workplace.run(*words, "data.root=coco", "data.batch_size=2", "work_dir=run", tiny=False)
    assert "FINISHED" in printed and "Evaluating bbox" in printed
    config = (tmp_path / "run" / "config.py").read_text()
    assert "num_classes=80" in config and "'CocoMetric'" in config


def test_mixing_of_one_file_and_the_schedule_of_another_train_a_third_detector(workplace: Workplace) -> None:
    printed = workplace.run(
        "model=retinanet",
        "model.backbone.depth=18",
        "model.neck.in_channels=[64,128,256,512]",
        "aug=zoo/yolox/yolox_s_8xb8-300e_coco",
        "schedule=zoo/rtmdet/rtmdet_tiny_8xb32-300e_coco",
        "data.image_size=[96,96]",
        "work_dir=runs/mixed",
        *QUIET,
        tiny=False,
    )
    assert "FINISHED" in printed
    config = (workplace.folder / "runs" / "mixed" / "config.py").read_text()
    assert "'MultiImageMixDataset'" in config and "'AdamW'" in config and "LoadImageOrSkip" in config


def test_a_panoptic_detector_trains_and_is_scored_on_the_embedded_maps(workplace: Workplace) -> None:
    make_embedded("digits_panoptic", workplace.folder / "data" / "digits_panoptic", train=2, val=2, test=1)
    words = ("experiment=panoptic_fpn", "image_size=[96,96]", "data.batch_size=1", "data.val_batch_size=1", *QUIET)
    printed = workplace.run(*words, "work_dir=runs/maps", tiny=False)
    assert "FINISHED" in printed
    assert re.search(r"best panoptic/PQ +\S+ at epoch 1", printed)
    lines = (workplace.folder / "runs" / "maps").glob("*/vis_data/scalars.json")
    scores = [json.loads(line) for file in lines for line in file.read_text().splitlines() if "panoptic/PQ" in line]
    assert {"panoptic/PQ_th", "panoptic/PQ_st", "panoptic/temple_PQ"} <= scores[-1].keys()

    make_embedded("digits_panoptic", workplace.folder / "others", train=1, val=1, test=3)
    own = workplace.run("run=runs/maps", "split=val", module="test", tiny=False)
    assert "val: 1 batch, scored on panoptic maps" in own
    found = re.search(r"^ *PQ +([\d.]+)", own, re.MULTILINE)
    assert found and float(found[1]) == pytest.approx(scores[-1]["panoptic/PQ"], abs=1e-4)
    other = workplace.run("run=runs/maps", "data.root=others", module="test", tiny=False)
    assert "test: 3 batches, scored on panoptic maps" in other
    refused = workplace.run("run=runs/maps", "images=others", module="predict", tiny=False, expect=1)
    assert "this PanopticFPN is scored on panoptic maps, and predict writes boxes" in refused
