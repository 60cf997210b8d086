"""Matrix NMS, which lowers the score of a mask by its overlap with better masks of the same class.

The arithmetic is that of MMDetection's `mask_matrix_nms`. Written for `torch.jit.script`; no branch depends on a count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MatrixNms(nn.Module):
    """`mask_matrix_nms` for one test_cfg.

    Args:
        nms_pre: how many of the best masks to use at most; all if not positive.
        kernel: `gaussian` or `linear`.
        sigma: parameter of the Gaussian.
        filter_thr: if positive, masks with a lower decayed score are dropped.
    """

    def __init__(self, nms_pre: int, kernel: str, sigma: float, filter_thr: float) -> None:
        super().__init__()
        self.nms_pre = nms_pre
        self.gaussian = kernel == "gaussian"
        self.sigma = sigma
        self.filter_thr = filter_thr

    def forward(self, masks: Tensor, labels: Tensor, scores: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
        """Lower the scores.

        Args:
            masks: (N, h, w) bool.
            labels: (N,) int64.
            scores: (N,) float32.
            areas: (N,) float32, cells of each mask.

        Returns:
            The scores of the kept masks, descending, and their indices, (K,) int64.
        """
        scores, order = scores.sort(descending=True)
        if self.nms_pre > 0:
            scores, order = scores[: self.nms_pre], order[: self.nms_pre]
        decayed = scores * self._decay(masks[order].flatten(1).to(scores.dtype), labels[order], areas[order])
        if self.filter_thr > 0:
            keep = decayed >= self.filter_thr
            decayed, order = decayed[keep], order[keep]
        decayed, ranks = decayed.sort(descending=True)
        return decayed, order[ranks]

    def _decay(self, masks: Tensor, labels: Tensor, areas: Tensor) -> Tensor:
        inter = torch.mm(masks, masks.transpose(0, 1))
        iou = (inter / (areas[None, :] + areas[:, None] - inter)).triu(1)
        iou = iou * (labels[None, :] == labels[:, None]).triu(1)
        # A row of zeros is added, because an empty tensor has no maximum.
        compensate = torch.cat([iou, torch.zeros_like(areas)[None]]).max(0)[0][:, None]
        if self.gaussian:
            decay = torch.exp(-1 * self.sigma * iou**2) / torch.exp(-1 * self.sigma * compensate**2)
        else:
            decay = (1 - iou) / (1 - compensate)
        return torch.cat([decay, torch.full_like(areas, float("inf"))[None]]).min(0)[0]
