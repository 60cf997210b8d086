"""How well two lists of detections agree where they come from different kernels.

Another runtime sums in another order. That changes every number a little, and sometimes a decision: which of two equal
scores comes first, or whether an overlap reaches the threshold. On a black image, where all scores are equal, any
hundred of them may be kept. So detections are paired, and those without a partner within the bounds are counted.
`difference.compare` is for runtimes that must agree in everything.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.check.difference import Difference, Tolerance, mask_shares, masks_apart

_FAR = 1e6


def agree(
    got: Detections, expected: Detections, tolerance: Tolerance, score_thr: float, limit: int | None
) -> Difference:
    """Pair two lists of detections within each class, and measure those that have a partner within the bounds.

    Args:
        got: detections of the implementation under test.
        expected: detections of the reference.
        tolerance: how far partners may be apart.
        score_thr: detections score more than this.
        limit: at most that many detections; None for any number.

    Returns:
        The largest differences between partners, and in `unmatched` how many detections of both lists have none.
        Detections whose score is within the bound of the cut are not counted: the last bits decide whether they are
        given out.
    """
    box_px, score, mask, unmatched = 0.0, 0.0, 0.0, 0
    cut = max(score_thr, _last(got, limit), _last(expected, limit)) + tolerance.score
    for label in torch.unique(torch.cat([got.labels, expected.labels])):
        ours, theirs = got.chosen(got.labels == label), expected.chosen(expected.labels == label)
        mine, partners = _pair(ours, theirs, tolerance)
        pairs = ours.chosen(mine), theirs.chosen(partners)
        if len(mine):
            box_px = max(box_px, float((pairs[0].boxes - pairs[1].boxes).abs().max()))
            score = max(score, float((pairs[0].scores - pairs[1].scores).abs().max()))
            if expected.masks is not None:
                mask = max(mask, masks_apart(pairs[0].masks, pairs[1].masks))
        for found, taken in ((ours, mine), (theirs, partners)):
            left = torch.ones_like(found.scores, dtype=torch.bool)
            left[taken] = False
            unmatched += int((left & (found.scores > cut)).sum())
    masks = None if expected.masks is None else mask
    return Difference(len(expected.scores), len(got.scores), box_px, score, masks, unmatched)


def _last(found: Detections, limit: int | None) -> float:
    """The lowest score of a list that was cut at the limit; 0 where it was not cut."""
    is_full = limit is not None and 0 < limit <= len(found.scores)
    return float(found.scores.min()) if is_full else 0.0


def _pair(ours: Detections, theirs: Detections, tolerance: Tolerance) -> tuple[Tensor, Tensor]:
    """Indices of partners within the bounds, in both lists."""
    from scipy.optimize import linear_sum_assignment

    boxes = (ours.boxes.double()[:, None] - theirs.boxes.double()).abs().amax(-1)
    scores = (ours.scores.double()[:, None] - theirs.scores.double()).abs()
    is_near = (boxes <= tolerance.box_px) & (scores <= tolerance.score)
    cost = torch.where(is_near, boxes / tolerance.box_px + scores / tolerance.score, _FAR)
    rows, columns = (torch.from_numpy(index) for index in linear_sum_assignment(cost.numpy()))
    taken = is_near[rows, columns]
    rows, columns = rows[taken], columns[taken]
    if ours.masks is None or theirs.masks is None or not len(rows):
        return rows, columns
    alike = mask_shares(ours.masks[rows], theirs.masks[columns]) <= tolerance.mask
    return rows[alike], columns[alike]
