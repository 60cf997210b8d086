"""The report of a threshold search: its JSON and the values that are recorded in the run. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Objective
from vision_research.evaluation.threshold_set import Measurement, ThresholdSet


@dataclass(frozen=True)
class Report:
    """A threshold search and its results.

    Attributes:
        detector: name of the artifact, or `checkpoint`.
        objective: what the thresholds were chosen for.
        iou: the least overlap of a match.
        thresholds: thresholds chosen on validation images.
        nms_iou: the best of the given NMS IoUs; None keeps the detector's own.
        split: the split that the thresholds were measured on.
        note: a reservation about that; else empty.
        measured: precision, recall and the like on that split: one entry a class, then one for all together.
        validation: matches of each class on the validation images, for the curves.
    """

    detector: str
    objective: Objective
    iou: float
    thresholds: ThresholdSet
    nms_iou: float | None
    split: str
    note: str
    measured: list[Measurement]
    validation: list[Matches]

    def to_json(self) -> dict[str, Any]:
        """Return the content of thresholds.json; an export builds the values of `thresholds` into the model."""
        classes = self.thresholds.classes
        return {
            "detector": self.detector,
            "classes": [chosen.name for chosen in classes],
            "thresholds": {chosen.name: chosen.threshold for chosen in classes},
            "global": self.thresholds.common,
            "global_note": self.thresholds.note,
            "iou": self.iou,
            "nms_iou": self.nms_iou,
            "rule": vars(self.objective),
            "searched_on": {
                chosen.name: {
                    "split": "val",
                    "support": chosen.support,
                    "detections": chosen.num_detections,
                    "note": chosen.note,
                }
                for chosen in classes
            },
            "measured_on": self.split,
            "measured_note": self.note,
            "measured": {entry.name: entry.to_json() for entry in self.measured[:-1]},
            "measured_all": self.measured[-1].to_json(),
        }

    def metrics(self) -> dict[str, float]:
        """Return the values that are recorded in the run, by name; undefined ones are left out."""
        values = {"threshold/global": self.thresholds.common}
        for entry in self.measured:
            name = "all" if entry is self.measured[-1] else f"class/{entry.name}"
            for key in ("precision", "recall", "f1"):
                if not math.isnan(value := getattr(entry.counts, key)):
                    values[f"threshold/{self.split}/{key}/{name}"] = value
        return values | {f"threshold/class/{chosen.name}": chosen.threshold for chosen in self.thresholds.classes}
