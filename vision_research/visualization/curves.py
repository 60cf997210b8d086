"""Draws precision-recall curves, and precision, recall and F1 over the score threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vision_research.evaluation.threshold import Curve

# The legend of more lines would not be legible.
_MAX_LINES = 20


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
