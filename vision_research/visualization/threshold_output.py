"""Writes and prints the report of a threshold search: thresholds.json, curves, and a table."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vision_research.evaluation.threshold import Curve, curve_of
from vision_research.evaluation.threshold_report import Report
from vision_research.evaluation.threshold_set import Measurement
from vision_research.work_dir import write_json

# The legend of more lines would not be legible.
_MAX_LINES = 20


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write thresholds.json and the curves; return the files, thresholds.json first.

    Args:
        report: report of a search.
        folder: where to write; made when missing.
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


def print_report(report: Report, path: Path) -> None:
    """Print a line for each class, one for all together, and the notes.

    Args:
        report: report of a search.
        path: the file that it was written to.
    """
    title = f"{report.detector}, {report.objective.rule} at IoU {report.iou:g}, measured on {report.split}"
    if report.note:
        title += f"; {report.note}"
    # In a file rich would assume a width of 80, which breaks the rows.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"\n{title}", soft_wrap=True)
    console.print(_table(report))
    for chosen in report.thresholds.classes:
        if chosen.note:
            console.print(f"{chosen.name}: {chosen.note}", soft_wrap=True)
    nms = "" if report.nms_iou is None else f", NMS IoU {report.nms_iou:g}"
    common = f"{report.thresholds.common:.4f}{f' ({report.thresholds.note})' if report.thresholds.note else ''}"
    console.print(f"one for all classes: {common}{nms}\nwritten: {path}", soft_wrap=True)


def _table(report: Report) -> Table:
    table = Table("class", "threshold", "precision", "recall", "F1", "support", box=None)
    for entry in report.measured:
        values = [_with_interval(entry, name) for name in ("precision", "recall", "f1")]
        chosen = "" if math.isnan(entry.threshold) else f"{entry.threshold:.4f}"
        table.add_row(entry.name, chosen, *values, str(entry.support))
    return table


def _with_interval(entry: Measurement, name: str) -> str:
    value, (low, high) = getattr(entry.counts, name), entry.intervals[name]
    return "-" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def draw_curves(path: Path, name: str, curve: Curve, threshold: float) -> None:
    """Draw one class: precision over recall, and precision, recall and F1 over the score.

    Args:
        path: PNG file to write.
        name: name of the class.
        curve: its measured values.
        threshold: the chosen threshold, which is marked in both plots.
    """
    # Not pyplot, which would choose a window system and keep every figure in memory.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    over_recall, over_score = figure.subplots(1, 2)
    figure.suptitle(f"{name}: {curve.support} objects, threshold {threshold:.3f}")
    over_recall.step(curve.recall, curve.precision, where="pre", color="tab:blue")
    for label, values in (("precision", curve.precision), ("recall", curve.recall), ("F1", curve.f1)):
        # The values of a score apply down to the next lower score.
        over_score.step(curve.scores, values, where="pre", label=label)
    if given := int((curve.scores >= threshold).sum()):
        over_recall.plot(curve.recall[given - 1], curve.precision[given - 1], "o", color="tab:red")
    over_score.axvline(threshold, color="tab:red", linestyle="--", label="threshold")
    for axes, label in ((over_recall, "recall"), (over_score, "score")):
        axes.set(xlabel=label, xlim=(0, 1), ylim=(0, 1.02))
    over_recall.set_ylabel("precision")
    over_score.legend()
    figure.savefig(path, dpi=100, format="png")


def draw_summary(path: Path, names: Sequence[str], curves: Sequence[Curve]) -> None:
    """Draw precision over recall of all classes in one picture, or of the 20 classes with the most objects.

    Args:
        path: PNG file to write.
        names: names of the classes.
        curves: measured values of each class.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    most = sorted(range(len(names)), key=lambda index: -curves[index].support)[:_MAX_LINES]
    for index in sorted(most):
        curve = curves[index]
        if len(curve.scores):
            axes.step(np.append(0, curve.recall), np.append(curve.precision[0], curve.precision), label=names[index])
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    if axes.lines:
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=100, format="png")
