"""Suppression and RoI pooling as single operators, for formats that have operators of their own for them.

In the exported graph each stands as one node, which the writer of the format translates (`formats/onnx_ops.py`). In
Python they compute what the plain-torch versions do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.deploy.families.roi import RoiPooling, scale_rois
from vision_research.deploy.ops.nms import BatchedNms, nms
from vision_research.deploy.ops.roi_align import map_roi_levels, roi_align

# All that an int64 input of an operator can ask for.
NO_LIMIT = 2**31 - 1


@torch.library.custom_op("vision_research::nms", mutates_args=())
def native_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int) -> Tensor:
    """Greedy suppression.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        score_threshold: scores not above it are dropped; negative for none.
        limit: keep at most that many.

    Returns:
        (K,) int64 indices of the kept boxes, best score first.
    """
    valid = torch.nonzero(scores > score_threshold).view(-1)
    return valid[nms(boxes[valid], scores[valid], iou_threshold, 0, limit)]


@native_nms.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int) -> Tensor:
    num_kept = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(num_kept, dtype=torch.int64)


@torch.library.custom_op("vision_research::roi_align", mutates_args=())
def native_roi_align(
    feature: Tensor, rois: Tensor, rows: int, columns: int, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Pool (N, 4) RoIs from one (1, C, h, w) level into (N, C, rows, columns), averaging its samples."""
    return roi_align(feature[0], rois, (rows, columns), spatial_scale, sampling_ratio, aligned)


@native_roi_align.register_fake
def _(
    feature: Tensor, rois: Tensor, rows: int, columns: int, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    return feature.new_empty(rois.shape[0], feature.shape[1], rows, columns)


def separate(boxes: Tensor, groups: Tensor) -> Tensor:
    """As `nms.separate_groups`, for a list of none as well: it has no largest coordinate, so a zero is added."""
    largest = torch.cat([boxes.reshape(-1), boxes.new_zeros(1)]).max()
    return boxes + (groups.to(boxes.dtype) * (largest + 1.0))[:, None]


class NativeNms(nn.Module):
    """`BatchedNms` on the one operator.

    Args:
        plain: what it stands for.
    """

    def __init__(self, plain: BatchedNms) -> None:
        super().__init__()
        self.iou_threshold = plain.iou_threshold
        self.class_agnostic = plain.class_agnostic
        self.score_threshold = plain.score_threshold if plain.score_threshold > 0 else -1.0
        self.offset = plain.offset
        self.max_num = plain.max_num

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress as `BatchedNms.forward`."""
        limits = [bound for bound in (limit, self.max_num, NO_LIMIT) if bound > 0]
        separated = boxes if self.class_agnostic else separate(boxes, groups)
        if self.offset:
            # The last pixel belongs to a box: the operators have no such flag, but corners may move.
            separated = torch.cat([separated[:, :2], separated[:, 2:] + self.offset], dim=-1)
        kept = self._suppress(separated, scores, min(limits))
        return kept, scores[kept]

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        kept: Tensor = native_nms(boxes, scores, self.iou_threshold, self.score_threshold, limit)
        return kept


class NativeRoiPooling(nn.Module):
    """`RoiPooling` on the one operator.

    Args:
        plain: what it stands for.
    """

    def __init__(self, plain: RoiPooling) -> None:
        super().__init__()
        self.scales = plain.scales
        self.finest_scale = plain.finest_scale
        self.roi_scale = plain.roi_scale
        self.rows, self.columns = plain.rows, plain.columns
        self.sampling_ratio = plain.sampling_ratio
        self.aligned = plain.aligned

    def forward(self, features: list[Tensor], rois: Tensor) -> Tensor:
        """Pool as `RoiPooling.forward`."""
        levels = map_roi_levels(rois, len(self.scales), self.finest_scale)
        rois = scale_rois(rois, self.roi_scale)
        parts, places = [], []
        for level, scale in enumerate(self.scales):
            chosen = torch.nonzero(levels == level).view(-1)
            parts.append(self._pool(features[level], rois[chosen], scale))
            places.append(chosen)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _pool(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        pooled: Tensor = native_roi_align(
            feature, rois, self.rows, self.columns, scale, self.sampling_ratio, self.aligned
        )
        return pooled
