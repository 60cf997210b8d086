"""Bootstrap confidence intervals of precision, recall and F1 at a threshold. Pure functions."""

from __future__ import annotations

import numpy as np

from vision_research.evaluation.matching import Floats, Matches

# Share of the samples inside of an interval.
_CONFIDENCE = 0.95

Interval = tuple[float, float]


def intervals(matches: Matches, threshold: float, *, num_samples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Estimate 95 % intervals of precision, recall and F1 by drawing whole images with replacement.

    Images are drawn and not detections, because the detections of one image depend on each other.

    Args:
        matches: matches of a class, or of all classes together.
        threshold: detections of this score or more are kept.
        num_samples: number of data sets to draw.
        seed: seed of the random draws.

    Returns:
        `precision`, `recall` and `f1`: lower and upper end; NaN where no sample has a value.
    """
    counts = per_image(matches, threshold)
    num_images = len(counts)
    draws = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), num_samples)
    found, false, truths = (draws @ counts).T.astype(np.float64)
    values = {
        "precision": _divide(found, found + false),
        "recall": _divide(found, truths),
        "f1": _divide(2 * found, found + false + truths),
    }
    return {name: _interval(sampled) for name, sampled in values.items()}


def per_image(matches: Matches, threshold: float) -> Floats:
    """Count the detections and objects of each image at a threshold.

    Args:
        matches: matches of a class, or of all classes together.
        threshold: detections of this score or more are kept.

    Returns:
        (I, 3) float64: right detections, wrong detections, objects.
    """
    given = matches.scores >= threshold
    size = len(matches.num_truths)
    found = np.bincount(matches.images[given & matches.is_true], minlength=size)
    false = np.bincount(matches.images[given & ~matches.is_true], minlength=size)
    return np.stack([found, false, matches.num_truths], axis=1).astype(np.float64)


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _interval(values: Floats) -> Interval:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)
