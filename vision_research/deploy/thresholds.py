"""Reads the score thresholds of classes from a file, and orders them by label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vision_research.deploy.errors import ExportError


def read_thresholds(path: Path) -> tuple[tuple[str, float], ...]:
    """Read class names with their lowest scores from a `thresholds.json`, in the order of its `classes`.

    It holds `classes` (names in the order of the labels) and `thresholds` (name to lowest score).

    Raises:
        ExportError: there is no such file, or it holds no thresholds.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return tuple((str(name), float(document["thresholds"][name])) for name in document["classes"])
    except OSError as error:
        raise ExportError(
            f"export.thresholds={path} cannot be read: {error.strerror}. Type the path of a file."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ExportError(
            f"export.thresholds={path} holds no thresholds ({type(error).__name__}: {error}). "
            "python -m vision_research.threshold writes such a file."
        ) from error


def thresholds_of(named: Sequence[tuple[str, float]], classes: Sequence[str]) -> tuple[float, ...]:
    """Bring thresholds into the order of the labels.

    Args:
        named: class names with their thresholds.
        classes: class names of the detector, in the order of the labels.

    Raises:
        ExportError: they are thresholds of other classes.
    """
    given = dict(named)
    if set(given) != set(classes):
        raise ExportError(
            f"The thresholds are for the classes {', '.join(given)}, but the detector's are {', '.join(classes)}. "
            "Search them on this detector: python -m vision_research.threshold."
        )
    return tuple(given[name] for name in classes)
