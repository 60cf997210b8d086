"""Pastes masks into boxes, resizes them, finds the boxes around them, and lowers the scores of those that overlap.

The arithmetic is that of MMDetection's `_do_paste_mask`, `mask2bbox` and `mask_matrix_nms`. Written for
`torch.jit.script`; outside of scripts no branch depends on a count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def paste_masks(masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float) -> Tensor:
    """Resize each mask to its box in the image (`FCNMaskHead._predict_by_feat_single`).

    Args:
        masks: (N, rows, columns) float32, probabilities.
        boxes: (N, 4) float32, xyxy, pixels of the image.
        image_size: height and width.
        threshold: least probability of a pixel of the object.

    Returns:
        (N, height, width) bool.
    """
    height, width = image_size
    low = (boxes[:, :2].floor() - 1).clamp(min=0)
    high = boxes[:, 2:].ceil() + 1
    y = torch.arange(height, device=boxes.device).to(boxes.dtype)
    x = torch.arange(width, device=boxes.device).to(boxes.dtype)
    inside_y = (y >= low[:, 1:2]) & (y < high[:, 1:2])
    inside_x = (x >= low[:, 0:1]) & (x < high[:, 0:1])
    y, x = _relative(y, boxes[:, 1:2], boxes[:, 3:4]), _relative(x, boxes[:, 0:1], boxes[:, 2:3])
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        pasted = torch.zeros(boxes.size(0), height, width, dtype=torch.bool, device=boxes.device)
        # One after another, because most of the image is outside of each box.
        for index in range(boxes.size(0)):
            top, bottom = int(low[index, 1]), int(high[index, 1])
            left, right = int(low[index, 0]), int(high[index, 0])
            rows, columns = y[index : index + 1, top:bottom], x[index : index + 1, left:right]
            if rows.size(1) > 0 and columns.size(1) > 0:
                pasted[index, top:bottom, left:right] = (_sample(masks[index : index + 1], rows, columns) >= threshold)[
                    0
                ]
        return pasted
    return (_sample(masks, y, x) >= threshold) & inside_y[:, :, None] & inside_x[:, None, :]


def _relative(positions: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Return the positions of pixels in the boxes: (N, pixels) float32, -1 to 1; 0 if a box has no extent."""
    relative = (positions[None] + 0.5 - start) / (stop - start) * 2 - 1
    return torch.where(torch.isinf(relative), torch.zeros_like(relative), relative)


def _sample(masks: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample (N, rows, columns) masks at (N, H) and (N, W) relative positions: (N, H, W) float32."""
    size = [y.size(0), y.size(1), x.size(1)]
    grid = torch.stack([x[:, None, :].expand(size), y[:, :, None].expand(size)], dim=3)
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0]


def resize_maps(maps: Tensor, height: int, width: int) -> Tensor:
    """Resize maps bilinearly, to (N, height, width) float32.

    Args:
        maps: (N, h, w) float32.
        height: of the result.
        width: of the result.
    """
    return F.interpolate(maps[:, None], size=[height, width], mode="bilinear", align_corners=False)[:, 0]


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the boxes around (N, H, W) bool masks: (N, 4) float32, xyxy, pixels; zeros for an empty mask."""
    across, down = masks.any(dim=1), masks.any(dim=2)
    left, right = _ends(across)
    top, bottom = _ends(down)
    return torch.stack([left, top, right, bottom], dim=-1) * across.any(dim=1, keepdim=True)


def _ends(used: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of the first set one of (N, L) flags, and of the last one plus 1: (N,) float32 each."""
    flags = used.to(torch.uint8)
    return flags.argmax(dim=1).to(torch.float32), used.size(1) - flags.flip(1).argmax(dim=1).to(torch.float32)


class MatrixNms(nn.Module):
    """`mask_matrix_nms` for one test_cfg: lowers the score of a mask by its overlap with better masks of its class.

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
