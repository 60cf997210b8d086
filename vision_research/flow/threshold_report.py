"""What a threshold search leaves: a table, thresholds.json, curves, and a record in the run."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vision_research.config.command_schema import ThresholdCommand
from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Wanted, curve_of
from vision_research.evaluation.threshold_set import Measured, ThresholdSet
from vision_research.flow.detectors import Detectors
from vision_research.tracking.addition import adding_to
from vision_research.visualization.curves import draw_curves, draw_summary
from vision_research.work_dir import write_json


@dataclass(frozen=True)
class Report:
    """A search and what came of it.

    Attributes:
        detector: name of the artifact, or `checkpoint`.
        wanted: the rule.
        iou: the least overlap of a match.
        thresholds: what was chosen, on validation images.
        nms_iou: what was chosen of the NMS IoUs; None keeps the detector's own.
        split: what it was measured on.
        note: a reservation about that; else empty.
        measured: what the thresholds do there: one entry a class, then all together.
        validation: matches of each class on the validation images, for the curves.
    """

    detector: str
    wanted: Wanted
    iou: float
    thresholds: ThresholdSet
    nms_iou: float | None
    split: str
    note: str
    measured: list[Measured]
    validation: list[Matches]

    def to_json(self) -> dict[str, Any]:
        """Return what is written to thresholds.json; `thresholds` is what an export bakes in."""
        classes = self.thresholds.classes
        return {
            "detector": self.detector,
            "classes": [chosen.name for chosen in classes],
            "thresholds": {chosen.name: chosen.threshold for chosen in classes},
            "global": self.thresholds.common,
            "global_note": self.thresholds.note,
            "iou": self.iou,
            "nms_iou": self.nms_iou,
            "rule": vars(self.wanted),
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


def write(report: Report, folder: Path) -> list[Path]:
    """Write thresholds.json and the curves.

    Returns:
        The files, thresholds.json first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = [curve_of(matches) for matches in report.validation]
    names = [chosen.name for chosen in report.thresholds.classes]
    files = [folder / "thresholds.json", folder / "precision_recall.png"]
    draw_summary(files[1], names, curves)
    for label, (chosen, curve) in enumerate(zip(report.thresholds.classes, curves, strict=True)):
        path = folder / f"{label:03d}_{re.sub(r'[^A-Za-z0-9._-]', '_', chosen.name)[:80]}.png"
        draw_curves(path, chosen.name, curve, chosen.threshold)
        files.append(path)
    write_json(files[0], report.to_json())
    return files


def show(report: Report, path: Path) -> None:
    """Print a line a class, and one for all together."""
    title = f"{report.detector}, {report.wanted.rule} at IoU {report.iou:g}, measured on {report.split}"
    if report.note:
        title += f"; {report.note}"
    table = Table("class", "threshold", "precision", "recall", "F1", "support", box=None)
    for entry in report.measured:
        values = [_with_interval(entry, name) for name in ("precision", "recall", "f1")]
        chosen = "" if math.isnan(entry.threshold) else f"{entry.threshold:.4f}"
        table.add_row(entry.name, chosen, *values, str(entry.support))
    # A file has no width; rich takes 80, which breaks the rows.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"\n{title}", soft_wrap=True)
    console.print(table)
    for of_class in (of_class for of_class in report.thresholds.classes if of_class.note):
        console.print(f"{of_class.name}: {of_class.note}", soft_wrap=True)
    nms = "" if report.nms_iou is None else f", NMS IoU {report.nms_iou:g}"
    common = f"{report.thresholds.common:.4f}{f' ({report.thresholds.note})' if report.thresholds.note else ''}"
    console.print(f"one for all classes: {common}{nms}\nwritten: {path}", soft_wrap=True)


def record(words: ThresholdCommand, detectors: Detectors, report: Report, files: Sequence[Path]) -> None:
    """Add thresholds, what they do, and the curves to the run."""
    source = detectors.source
    if source is None or (work_dir := source.recorded_in(words.tracking)) is None:
        return
    prefix = f"threshold/{report.split}"
    values: dict[str, float] = {"threshold/global": report.thresholds.common}
    for entry in report.measured:
        name = "all" if entry is report.measured[-1] else f"class/{entry.name}"
        measured = {key: getattr(entry.counts, key) for key in ("precision", "recall", "f1")}
        values |= {f"{prefix}/{key}/{name}": value for key, value in measured.items() if not math.isnan(value)}
    for chosen in report.thresholds.classes:
        values[f"threshold/class/{chosen.name}"] = chosen.threshold
    with adding_to(work_dir) as run:
        run.log_metrics(values, source.iteration)
        run.set_tags({"threshold.rule": json.dumps(vars(report.wanted)), "threshold.detector": report.detector})
        for path in files:
            run.log_artifact(path, "thresholds")


def _with_interval(entry: Measured, name: str) -> str:
    value, (low, high) = getattr(entry.counts, name), entry.intervals[name]
    return "-" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
