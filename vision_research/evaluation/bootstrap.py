"""How sure a measured precision or recall is: the same on images drawn again and again. Pure functions."""

from __future__ import annotations

import numpy as np

from vision_research.evaluation.matching import Floats, Matches

Interval = tuple[float, float]


def intervals(
    matches: Matches, threshold: float, *, num_samples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Estimate intervals of precision, recall and F1 by drawing whole images with replacement.

    Images and not detections are drawn, because what is in one image goes together.

    Args:
        matches: of a class, or of all together.
        threshold: detections of this score or more are given out.
        num_samples: how often a data set is drawn.
        confidence: share of the samples inside of the interval.
        seed: of the draws.

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
    return {name: _interval(sampled, confidence) for name, sampled in values.items()}


def per_image(matches: Matches, threshold: float) -> Floats:
    """Count found, false and true objects of each image, (I, 3)."""
    given = matches.scores >= threshold
    size = len(matches.num_truths)
    found = np.bincount(matches.images[given & matches.is_true], minlength=size)
    false = np.bincount(matches.images[given & ~matches.is_true], minlength=size)
    return np.stack([found, false, matches.num_truths], axis=1).astype(np.float64)


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _interval(values: Floats, confidence: float) -> Interval:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
