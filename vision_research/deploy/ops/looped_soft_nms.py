"""Soft suppression for graph formats: the loop of `soft_nms.py` is in the graph, over tensors of one shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.deploy.ops.looped import while_loop
from vision_research.deploy.ops.native import NO_LIMIT, separate
from vision_research.deploy.ops.soft_nms import BatchedSoftNms, decay


class LoopedSoftNms(nn.Module):
    """`BatchedSoftNms` without a branch on a count.

    Many boxes are not split into their groups, as mmcv does: boxes of different groups do not overlap.

    Args:
        plain: what it stands for.
    """

    def __init__(self, plain: BatchedSoftNms) -> None:
        super().__init__()
        self.iou_threshold, self.sigma = plain.iou_threshold, plain.sigma
        self.min_score, self.method = plain.min_score, plain.method
        self.class_agnostic, self.offset = plain.class_agnostic, plain.offset

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress as `BatchedSoftNms.forward`, and stop at the limit: scores only fall from one choice to the next."""
        separated = boxes if self.class_agnostic else separate(boxes, groups)
        # A box more that is never chosen, since there is no best of none.
        padded = torch.cat([separated, separated.new_zeros(1, 4)])
        left = torch.cat([scores, scores.new_zeros(1)])
        places = torch.arange(padded.shape[0])
        most = limit if limit > 0 else NO_LIMIT

        def goes_on(step: Tensor, left: Tensor, waits: Tensor, turn: Tensor) -> Tensor:
            return waits.any() & (step < most)

        def choose(step: Tensor, left: Tensor, waits: Tensor, turn: Tensor) -> tuple[Tensor, ...]:
            best = torch.where(waits, left, torch.full_like(left, -1.0)).argmax().view(1)
            overlap = _overlap(padded[best], padded, self.offset)
            weight = decay(overlap, self.iou_threshold, self.sigma, self.method)
            is_best = places == best
            # Those that no longer wait keep their score.
            lowered = torch.where(waits & ~is_best, left * weight, left)
            stays = waits & ~is_best & (lowered >= self.min_score)
            return step + 1, lowered, stays, torch.where(is_best, step, turn)

        start = (
            torch.zeros((), dtype=torch.int64),
            left,
            places < places.shape[0] - 1,
            torch.full_like(places, NO_LIMIT),
        )
        _, lowered, _, turn = while_loop(goes_on, choose, start)
        chosen = torch.nonzero(turn < NO_LIMIT).view(-1)
        chosen = chosen[turn[chosen].argsort()]
        return chosen, lowered[chosen]


def _overlap(box: Tensor, others: Tensor, offset: int) -> Tensor:
    """The (N,) IoUs of a (1, 4) box with (N, 4) others, in the arithmetic of `soft_nms`."""
    sides = torch.minimum(box[:, 2:], others[:, 2:]) - torch.maximum(box[:, :2], others[:, :2]) + offset
    sides = sides.clamp(min=0.0)
    inter = sides[:, 0] * sides[:, 1]
    return inter / (_areas(box, offset) + _areas(others, offset) - inter)


def _areas(boxes: Tensor, offset: int) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)
