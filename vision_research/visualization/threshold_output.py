"""Writes and prints the report of a threshold search: thresholds.json, curves, and a table."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vision_research.evaluation.threshold import curve_of
from vision_research.evaluation.threshold_report import Report
from vision_research.evaluation.threshold_set import Measurement
from vision_research.visualization.curves import draw_curves, draw_summary
from vision_research.work_dir import write_json


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write thresholds.json and the curves.

    Args:
        report: report of a search.
        folder: where to write; made when missing.

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
