"""Reads the score threshold of each class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_research.config.errors import ConfigError


def class_thresholds(file: str | None, score_thr: float, classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """Read the thresholds of the classes from a file, or give all classes the same one.

    Args:
        file: thresholds.json of a threshold search; None gives every class `score_thr`.
        score_thr: used without a file.
        classes: names, in the order of the labels.

    Returns:
        (C,) float64, the lowest score of each class that is kept.

    Raises:
        ConfigError: the file cannot be read, or has other classes.
    """
    if file is None:
        return np.full(len(classes), score_thr)
    try:
        by_name = json.loads(Path(file).read_text())["thresholds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"thresholds={file}: it is no thresholds.json ({type(error).__name__}). Make one: python -m "
            "vision_research.threshold run=..."
        ) from error
    if set(by_name) != set(classes):
        raise ConfigError(
            f"thresholds={file}: its classes are {', '.join(by_name)}; those of the detector are {', '.join(classes)}"
        )
    return np.array([float(by_name[name]) for name in classes])
