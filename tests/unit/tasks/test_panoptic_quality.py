"""Panoptic quality, on images small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vision_research.datasets.coco.panoptic_png import encode_map
from vision_research.tasks.panoptic.metric import PanopticQuality, compare

NAMES = ("cat", "dog", "sky")
# Two cats (1, 2) above the sky (3); 0 is void.
TRUTH = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3], [3, 3, 3, 0]])
SEGMENTS = [(1, 0, False), (2, 0, False), (3, 2, False)]
CAT, OTHER_CAT, DOG, SKY = 1000, 2000, 1001, 2


def test_a_perfect_map_has_every_segment_with_an_iou_of_one() -> None:
    predicted = np.array([[CAT, CAT, OTHER_CAT, OTHER_CAT]] * 2 + [[SKY] * 4] * 2)
    assert compare(TRUTH, SEGMENTS, predicted, 3).tolist() == [[2, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_half_is_no_match_and_another_class_is_both_invented_and_missed() -> None:
    predicted = TRUTH.copy()
    predicted[TRUTH == 1] = DOG  # the first cat is called a dog
    predicted[TRUTH == 2] = [-1, CAT, -1, CAT]  # half of the second: its IoU of 0.5 is not enough
    predicted[TRUTH == 3] = SKY
    predicted[TRUTH == 0] = -1
    counts = compare(TRUTH, SEGMENTS, predicted, 3)
    assert counts[0].tolist() == [0, 0, 1, 2]
    assert counts[1].tolist() == [0, 0, 1, 0]
    assert counts[2].tolist() == [1, 1, 0, 0]


def test_three_quarters_are_a_match_with_their_share() -> None:
    predicted = np.full_like(TRUTH, -1)
    predicted[0, :2] = predicted[1, 0] = CAT
    assert compare(TRUTH, SEGMENTS, predicted, 3)[0].tolist() == [0.75, 1, 0, 1]


def test_what_lies_in_the_void_or_in_a_crowd_of_its_class_is_no_mistake() -> None:
    predicted = np.full_like(TRUTH, -1)
    predicted[3, 3] = DOG
    predicted[0, 2:] = CAT
    counts = compare(TRUTH, [(1, 0, False), (2, 0, True), (3, 2, False)], predicted, 3)
    assert counts[:, 2].tolist() == [0, 0, 0]
    assert counts[:, 3].tolist() == [1, 0, 1], "a crowd is not missed either"


def test_several_crowds_of_a_class_are_excused_together() -> None:
    predicted = np.full_like(TRUTH, -1)
    predicted[0, 1:3] = CAT
    counts = compare(TRUTH, [(1, 0, True), (2, 0, True), (3, 2, False)], predicted, 3)
    assert counts[0].tolist() == [0, 0, 0, 0]


def test_an_annotated_segment_without_a_pixel_is_left_out() -> None:
    assert compare(TRUTH, [*SEGMENTS, (9, 1, False)], np.full_like(TRUTH, -1), 3)[:, 3].tolist() == [2, 0, 1]


def test_the_metric_reads_its_maps_and_gives_things_and_stuff(tmp_path: Path) -> None:
    segments = [{"id": id_, "category_id": label + 1} for id_, label, _ in SEGMENTS]
    categories = [{"id": n, "name": name, "isthing": int(name != "sky")} for n, name in enumerate(NAMES, start=1)]
    annotation = {"image_id": 7, "file_name": "a.png", "segments_info": segments}
    (tmp_path / "val.json").write_text(json.dumps({"categories": categories, "annotations": [annotation]}))
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "a.png").write_bytes(encode_map(TRUTH))
    metric = PanopticQuality(str(tmp_path / "val.json"))
    metric.dataset_meta = {"classes": NAMES}
    # One cat is found whole, of the other three quarters; the sky is left out by the number behind the last class.
    predicted = torch.tensor([[CAT, CAT, OTHER_CAT, OTHER_CAT], [CAT, CAT, OTHER_CAT, 3], [3] * 4, [3] * 4])
    metric.process(None, [{"img_id": 7, "pred_panoptic_seg": {"sem_seg": predicted[None]}}])
    values = metric.evaluate(1)
    assert values["panoptic/PQ_th"] == pytest.approx(87.5), "dogs are in no picture, and in no mean"
    assert values["panoptic/PQ_st"] == 0
    assert values["panoptic/PQ"] == pytest.approx(87.5 / 2)
    assert (values["panoptic/SQ_th"], values["panoptic/RQ_th"]) == (pytest.approx(87.5), 100)
    assert values["panoptic/cat_PQ"] == pytest.approx(87.5) and np.isnan(values["panoptic/dog_PQ"])
