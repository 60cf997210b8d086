"""The search over NMS IoUs and splits, with a detector that answers by rote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.evaluation.threshold import Objective
from vision_research.inference.evaluate import Images
from vision_research.inference.threshold_search import SplitMatcher, search_thresholds

BOX, ELSEWHERE = [0.0, 0, 8, 8], [20.0, 20, 30, 30]


class TwoImages:
    """Two images with a box each, the second a crowd too."""

    def __len__(self) -> int:
        return 2

    def get_data_info(self, index: int) -> dict[str, Any]:
        instances = [{"bbox": BOX, "bbox_label": 0, "ignore_flag": 0}]
        return {"instances": instances + ([{"bbox": ELSEWHERE, "bbox_label": 0, "ignore_flag": 1}] if index else [])}


class Detector:
    """Finds the box, and with an NMS IoU over 0.5 a false one beside it that scores more."""

    name = "rote"
    classes = ("cat",)

    def __init__(self, finds: bool = True) -> None:
        self.nms_iou, self.finds, self.num_calls = 0.0, finds, 0

    def set_nms(self, value: float) -> None:
        self.nms_iou = value

    def predict(self, images: Sequence[Any]) -> list[Detections]:
        self.num_calls += 1
        boxes = ([ELSEWHERE] if self.nms_iou > 0.5 else []) + [BOX] if self.finds else []
        scores = torch.tensor([0.9, 0.5][-len(boxes) :] if boxes else [])
        return [Detections(torch.tensor(boxes).view(-1, 4), scores, torch.zeros(len(boxes), dtype=torch.int64))]


def load(info: dict[str, Any]) -> dict[str, Any]:
    return {"img": np.zeros((40, 40, 3), np.uint8)}


def matcher_of(detector: Detector) -> SplitMatcher:
    return SplitMatcher(detector, {"val": Images(TwoImages(), load), "test": Images(TwoImages(), load)}, 0.5)


def test_the_best_nms_iou_stays_set_and_its_matches_are_kept() -> None:
    detector = Detector()
    matcher = matcher_of(detector)
    best = search_thresholds(matcher, Objective(), 1, [0.7, 0.5, 0.4], detector.set_nms)
    assert best is not None
    assert (best.nms_iou, detector.nms_iou, best.value) == (0.5, 0.5, 1.0), "of equal ones the first"
    assert best.thresholds.common == 0.5
    assert detector.num_calls == 6
    assert matcher.matches("val") is best.matches and detector.num_calls == 6
    assert matcher.matches("test")[0].is_true.tolist() == [True, True] and detector.num_calls == 8
    matcher.matches("test")
    assert detector.num_calls == 8, "a split is detected on once"


def test_a_detection_on_a_crowd_is_neither_right_nor_wrong() -> None:
    detector = Detector()
    detector.set_nms(0.7)
    (matches,) = matcher_of(detector).matches("val")
    assert sorted(zip(matches.images.tolist(), matches.is_true.tolist(), strict=True)) == [
        (0, False),
        (0, True),
        (1, True),
    ]
    assert matches.num_truths.tolist() == [1, 1]


def test_without_nms_ious_the_detector_keeps_its_own() -> None:
    detector = Detector()
    best = search_thresholds(matcher_of(detector), Objective(), 1, set_nms=detector.set_nms)
    assert best is not None and best.nms_iou is None and detector.nms_iou == 0.0


def test_where_nothing_is_found_there_is_no_candidate() -> None:
    assert search_thresholds(matcher_of(Detector(finds=False)), Objective(), 1, [0.5, 0.6]) is None
