"""A teacher and a student through the product: trained on labelled and unlabelled digits, then used as one detector."""

from __future__ import annotations

import json
import re

import pytest
import torch
from workplace import Workplace

from vision_research.registry import make_embedded

pytestmark = pytest.mark.slow

QUIET = ("image_size=[96,96]", "data.num_workers=0", "hw=cpu", "hw.num_threads=1", "tracking=none", "log_interval=1")


def test_a_student_teaches_its_teacher_and_the_teacher_is_tested_exported_and_drawn(workplace: Workplace) -> None:
    root = workplace.folder / "data" / "digits_semi"
    make_embedded("digits_semi", root, train=8, val=2, test=2)
    words = ("experiment=soft_teacher", *QUIET, "schedule.max_epochs=2", "schedule.val_interval=1", "schedule.lr=1e-4")
    # Untrained scores lie below the cut, and an export is checked on detections.
    cut = "model.detector.test_cfg.rcnn.score_thr=0.001"
    printed = workplace.run(*words, cut, "export.num_images=1", "work_dir=runs/pair", tiny=False)
    assert "FINISHED" in printed
    assert re.search(r"best teacher/coco/bbox_mAP +\S+ at epoch", printed)
    assert re.search(r"artifact +\S+model\.ts", printed), "exported, and held against the detector"
    run = workplace.folder / "runs" / "pair"
    lines = run.glob("*/vis_data/scalars.json")
    scores = [json.loads(line) for file in lines for line in file.read_text().splitlines() if "bbox_mAP" in line]
    assert {"teacher/coco/bbox_mAP", "student/coco/bbox_mAP"} <= scores[-1].keys()

    first, last = (torch.load(run / f"epoch_{epoch}.pth", weights_only=False)["state_dict"] for epoch in (1, 2))
    name = "backbone.layer4.1.conv2.weight"
    moved = last[f"teacher.{name}"] - first[f"teacher.{name}"]
    assert moved.abs().max() > 0, "the teacher follows"
    away = last[f"student.{name}"] - last[f"teacher.{name}"]
    assert away.abs().max() > moved.abs().max(), "slowly"

    tested = workplace.run(
        "run=runs/pair", "device=cpu", "tracking=none", "artifact=runs/pair/export/model.ts", module="test", tiny=False
    )
    assert "test: 2 images" in tested and "model.ts" in tested
    drawn = workplace.run(*words, "browse.num=2", "browse.steps=true", module="browse", tiny=False, fresh=True)
    assert "MultiBranch" in drawn and "2 pictures" in drawn
