"""Prints the scores of evaluated detectors, and names them for the record."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from vision_research.inference.evaluate import Evaluated

_PREFIX = "coco/"
_COLUMNS = {"mAP": "bbox_mAP", "mAP50": "bbox_mAP_50", "mAP75": "bbox_mAP_75", "mask mAP": "segm_mAP"}
_CLASS_SUFFIX = "_precision"


def metric_values(result: Evaluated, classes: Sequence[str], prefix: str) -> dict[str, float]:
    """Return the scores of one detector by the names under which they are recorded.

    Args:
        result: its evaluation.
        classes: names, in the order of the labels.
        prefix: first part of the names.

    Returns:
        Scores by name, without those that are undefined (NaN), and the latency in milliseconds.
    """
    plain = {name.removeprefix(_PREFIX): value for name, value in result.scores.items()}
    classwise = {f"AP/{name}": plain.pop(f"{name}{_CLASS_SUFFIX}", math.nan) for name in classes}
    values = {**plain, **classwise, "latency_ms": 1000 * result.latency_s}
    return {f"{prefix}/{name}": value for name, value in values.items() if not math.isnan(value)}


def print_scores(results: Sequence[Evaluated], classes: Sequence[str], title: str) -> None:
    """Print a table of the detectors, and one of the AP of each class.

    Args:
        results: one for each detector.
        classes: names, in the order of the labels.
        title: text above the tables.
    """
    present = {name: key for name, key in _COLUMNS.items() if any(_PREFIX + key in result.scores for result in results)}
    table = Table("", *present, "ms an image", box=None)
    for result in results:
        values = [_score(result, key) for key in present.values()]
        table.add_row(result.name, *values, f"{1000 * result.latency_s:.1f}")
    by_class = Table("AP", *(result.name for result in results), box=None)
    for name in classes:
        by_class.add_row(name, *(_score(result, f"{name}{_CLASS_SUFFIX}") for result in results))
    console = Console(highlight=False, markup=False)
    console.print(f"\n{title}", soft_wrap=True)
    console.print(table)
    console.print(by_class)


def _score(result: Evaluated, key: str) -> str:
    value = result.scores.get(_PREFIX + key, math.nan)
    return "-" if math.isnan(value) else f"{value:.4f}"
