"""The report of a threshold search: its file, its recorded values, its curves and its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Objective
from vision_research.evaluation.threshold_report import Report
from vision_research.evaluation.threshold_set import measure, search
from vision_research.visualization.threshold_output import print_report, write_report


@pytest.fixture
def report() -> Report:
    """One class with objects, and one that has neither objects nor detections."""
    cats = Matches(np.array([0.9, 0.6, 0.2]), np.array([True, True, False]), np.arange(3), np.array([1, 1, 0]))
    owls = Matches(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(3, np.int64))
    thresholds = search(["cat", "owl/snow"], [cats, owls], Objective("min_recall", 0.9), min_support=2)
    assert thresholds is not None
    return Report(
        detector="checkpoint",
        objective=Objective("min_recall", 0.9),
        iou=0.5,
        thresholds=thresholds,
        nms_iou=0.6,
        split="val",
        note="a reservation",
        measured=measure(thresholds, [cats, owls], num_samples=20),
        validation=[cats, owls],
    )


@pytest.mark.slow
def test_the_file_holds_thresholds_and_what_they_were_searched_and_measured_on(report: Report, tmp_path: Path) -> None:
    files = write_report(report, tmp_path / "thresholds")
    written = json.loads(files[0].read_text())
    assert [path.name for path in files] == [
        "thresholds.json",
        "precision_recall.png",
        "000_cat.png",
        "001_owl_snow.png",
    ]
    assert all(path.stat().st_size for path in files)
    assert written["classes"] == ["cat", "owl/snow"]
    assert written["thresholds"] == {"cat": 0.4, "owl/snow": 0.4} and written["global"] == 0.4
    assert written["rule"] == {"rule": "min_recall", "bound": 0.9, "false_cost": 1.0, "missed_cost": 1.0}
    assert (written["iou"], written["nms_iou"], written["measured_on"]) == (0.5, 0.6, "val")
    assert written["searched_on"]["cat"] == {"split": "val", "support": 2, "detections": 3, "note": ""}
    assert written["searched_on"]["owl/snow"]["note"] == "0 of 2 examples: the common threshold"
    assert written["measured"]["cat"]["recall"] == written["measured_all"]["recall"] == 1
    assert written["measured"]["owl/snow"]["recall"] is None and written["measured_note"] == "a reservation"


def test_recorded_values_leave_out_what_is_not_defined(report: Report) -> None:
    assert report.metrics() == {
        "threshold/global": 0.4,
        "threshold/val/precision/class/cat": 1.0,
        "threshold/val/recall/class/cat": 1.0,
        "threshold/val/f1/class/cat": 1.0,
        "threshold/val/precision/all": 1.0,
        "threshold/val/recall/all": 1.0,
        "threshold/val/f1/all": 1.0,
        "threshold/class/cat": 0.4,
        "threshold/class/owl/snow": 0.4,
    }


def test_the_table_has_a_line_for_each_class_and_one_for_all(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report, Path("out/thresholds.json"))
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "checkpoint, min_recall at IoU 0.5, measured on val; a reservation" in printed
    assert "cat 0.4000 1.000 [1.000, 1.000] 1.000 [1.000, 1.000] 1.000 [1.000, 1.000] 2" in printed
    assert "owl/snow 0.4000 - - - 0" in printed
    assert "owl/snow: 0 of 2 examples: the common threshold" in printed
    assert "one for all classes: 0.4000, NMS IoU 0.6" in printed
    assert "written: out/thresholds.json" in printed
