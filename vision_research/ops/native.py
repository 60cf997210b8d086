"""NMS and RoI pooling as single operators, for formats that have such operators themselves.

In the exported graph each is one node, which the writer of the format translates. In Python they compute the same as
the versions in plain torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_research.ops.nms import BatchedNms, nms
from vision_research.ops.roi_align import roi_align
from vision_research.ops.roi_pooling import RoiPooling, map_roi_levels, scale_rois

# The limit that keeps all boxes.
NO_LIMIT = 2**31 - 1


@torch.library.custom_op("vision_research::nms", mutates_args=())
def native_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int) -> Tensor:
    """Suppress boxes as `nms`, with a limit, and drop those whose score is not above a threshold.

    Args:
        boxes: (N, 4) float32, xyxy.
        scores: (N,) float32.
        iou_threshold: an IoU above it suppresses the worse box.
        score_threshold: negative for none.
        limit: how many boxes to keep at most.
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
    """Pool RoIs as `roi_align`, from one level of a feature pyramid.

    Args:
        feature: (1, C, h, w) float32.
        rois: as for `roi_align`.
        rows: of bins.
        columns: of bins.
        spatial_scale: as for `roi_align`.
        sampling_ratio: as for `roi_align`.
        aligned: as for `roi_align`.
    """
    image = torch.zeros(rois.size(0), dtype=torch.int64, device=rois.device)
    return roi_align(feature, rois, image, (rows, columns), spatial_scale, sampling_ratio, aligned)


@native_roi_align.register_fake
def _(
    feature: Tensor, rois: Tensor, rows: int, columns: int, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    return feature.new_empty(rois.shape[0], feature.shape[1], rows, columns)


def separate(boxes: Tensor, groups: Tensor) -> Tensor:
    """Shift boxes as `nms.separate_groups`, with a zero among the coordinates, so that no boxes are allowed too.

    Args:
        boxes: (N, 4) float32, xyxy.
        groups: (N,) int64.
    """
    largest = torch.cat([boxes.reshape(-1), boxes.new_zeros(1)]).max()
    return boxes + (groups.to(boxes.dtype) * (largest + 1.0))[:, None]


class NativeNms(nn.Module):
    """`BatchedNms` as a single operator."""

    def __init__(self, plain: BatchedNms) -> None:
        super().__init__()
        self.iou_threshold, self.class_agnostic = plain.iou_threshold, plain.class_agnostic
        self.score_threshold = plain.score_threshold if plain.score_threshold > 0 else -1.0
        self.offset, self.max_num = plain.offset, plain.max_num

    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Suppress as `BatchedNms.forward`."""
        limits = [bound for bound in (limit, self.max_num, NO_LIMIT) if bound > 0]
        separated = boxes if self.class_agnostic else separate(boxes, groups)
        if self.offset:
            # The last pixel belongs to the box. The operators have no option for it, so the corner is moved.
            separated = torch.cat([separated[:, :2], separated[:, 2:] + self.offset], dim=-1)
        kept = self._suppress(separated, scores, min(limits))
        return kept, scores[kept]

    def _suppress(self, boxes: Tensor, scores: Tensor, limit: int) -> Tensor:
        kept: Tensor = native_nms(boxes, scores, self.iou_threshold, self.score_threshold, limit)
        return kept


class NativeRoiPooling(nn.Module):
    """`RoiPooling` as a single operator."""

    def __init__(self, plain: RoiPooling) -> None:
        super().__init__()
        self.scales, self.finest_scale, self.roi_scale = plain.scales, plain.finest_scale, plain.roi_scale
        self.rows, self.columns = plain.rows, plain.columns
        self.sampling_ratio, self.aligned = plain.sampling_ratio, plain.aligned

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
