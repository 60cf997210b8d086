"""The last step of most detectors: scales boxes to the image, and selects those that are given out.

Scripted, and shared by the families. Knows tensors and MMDetection's test_cfg only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.family import Found, Scale
from vision_research.ops.nms import BatchedNms
from vision_research.ops.soft_nms import BatchedSoftNms

_GROUPS = {"iou_threshold", "class_agnostic", "split_thr", "offset"}
_KINDS: dict[str, tuple[type[nn.Module], set[str]]] = {
    "nms": (BatchedNms, _GROUPS | {"score_threshold", "max_num"}),
    "soft_nms": (BatchedSoftNms, _GROUPS | {"sigma", "min_score", "method"}),
}


def build_nms(config: Any) -> nn.Module:
    """Make the suppression that the `nms` of a test_cfg names.

    Returns:
        A module from (N, 4) boxes, (N,) scores, (N,) groups and a limit to the indices of the kept boxes, best score
        first, and their scores, which soft suppression lowers.

    Raises:
        ExportError: the suppression is of another kind, or an argument is not known.
    """
    options = dict(config)
    kind = options.pop("type", "nms")
    if "iou_thr" in options:
        options["iou_threshold"] = options.pop("iou_thr")
    module, known = _KINDS.get(kind, (None, set()))
    if module is None or not set(options) <= known or "iou_threshold" not in options:
        raise ExportError(
            f"test_cfg.nms={dict(config)} cannot be exported; known is "
            + " and ".join(
                f"dict(type='{name}', iou_threshold=...) with any of {', '.join(sorted(keys - {'iou_threshold'}))}"
                for name, (_, keys) in _KINDS.items()
            )
            + "."
        )
    options["iou_threshold"] = float(options["iou_threshold"])
    return module(**options)


def to_image(boxes: Tensor, scale_factor: Scale) -> Tensor:
    """Scale boxes to pixels of the image, as MMDetection's `scale_boxes`.

    Args:
        boxes: (..., 4) float32, pixels of the network's input.
        scale_factor: pixels of the network's input per pixel of the image (x, y).
    """
    x, y = 1 / scale_factor[0], 1 / scale_factor[1]
    return boxes * torch.tensor([x, y, x, y], dtype=boxes.dtype, device=boxes.device)


def divide_to_image(boxes: Tensor, scale_factor: Scale) -> Tensor:
    """Scale boxes as heads do that divide by the factor, which rounds differently from `to_image`.

    Args:
        boxes: as for `to_image`.
        scale_factor: as for `to_image`.
    """
    x, y = scale_factor
    return boxes / torch.tensor([x, y, x, y], dtype=boxes.dtype, device=boxes.device)


def large_enough(boxes: Tensor, min_size: float) -> Tensor:
    """Find boxes with both sides longer than a size, (N,) bool.

    Args:
        boxes: (N, 4) float32, xyxy.
        min_size: in pixels of the boxes.
    """
    return (boxes[:, 2] - boxes[:, 0] > min_size) & (boxes[:, 3] - boxes[:, 1] > min_size)


class BoxSelection(nn.Module):
    """`_bbox_post_process`: selects the candidates that are given out, by BaseDenseHead's keys of a test_cfg."""

    def __init__(self, test_cfg: Any) -> None:
        super().__init__()
        self.score_thr = float(test_cfg.get("score_thr", 0))
        self.nms_pre = int(test_cfg.get("nms_pre", -1))
        self.min_bbox_size = float(test_cfg.get("min_bbox_size", -1))
        self.max_per_img = int(test_cfg.max_per_img)
        self.nms = build_nms(test_cfg.nms)

    def _select(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Found:
        boxes, scores, labels = self._large(boxes, scores, labels)
        keep, scores = self.nms(boxes, scores, labels, self.max_per_img)
        keep = keep[: self.max_per_img]
        return boxes[keep], scores[: self.max_per_img], labels[keep]

    def _large(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Found:
        if self.min_bbox_size < 0:
            return boxes, scores, labels
        large = large_enough(boxes, self.min_bbox_size)
        return boxes[large], scores[large], labels[large]


class MulticlassNms(nn.Module):
    """`multiclass_nms` for the `nms` of a test_cfg: every class of every box is a candidate."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.nms = build_nms(config)

    def forward(self, boxes: Tensor, scores: Tensor, score_thr: float, max_per_img: int) -> Found:
        """Suppress, and keep the best.

        Args:
            boxes: (R, 1, 4) float32 where classes share a box, else (R, classes, 4); xyxy.
            scores: (R, classes) float32, without background.
            score_thr: candidates score more than this.
            max_per_img: keep at most that many; all where it is not positive.

        Returns:
            Boxes (N, 4) float32; scores (N,) float32, descending; labels (N,) int64.
        """
        num_classes = scores.size(1)
        above = torch.nonzero(scores > score_thr)
        rows, labels = above[:, 0], above[:, 1]
        kept = boxes.expand(-1, num_classes, 4)[rows, labels]
        best = scores[rows, labels]
        keep, best = self.nms(kept, best, labels, max_per_img)
        if max_per_img > 0:
            keep, best = keep[:max_per_img], best[:max_per_img]
        return kept[keep], best, labels[keep]
