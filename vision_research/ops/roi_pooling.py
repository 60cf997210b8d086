"""RoI pooling over the levels of a feature pyramid: each RoI is pooled from the level that fits its size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.ops.roi_align import roi_align


def map_roi_levels(rois: Tensor, num_levels: int, finest_scale: float) -> Tensor:
    """Choose the pyramid level of each RoI by its size, (N,) int64 (`SingleRoIExtractor.map_roi_levels`).

    Args:
        rois: (N, 4) float32, xyxy, pixels of the network's input.
        num_levels: number of levels.
        finest_scale: RoIs of less than twice this size, pixels, have level 0.
    """
    scale = torch.sqrt((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1]))
    level = torch.floor(torch.log2(scale / finest_scale + 1e-6))
    return level.clamp(min=0, max=num_levels - 1).to(torch.int64)


class RoiPooling(nn.Module):
    """`SingleRoIExtractor.forward`: each RoI is pooled from the level of its size.

    Args:
        extractor: MMDetection's extractor with mmcv's RoIAlign.
        roi_scale: RoIs are scaled by it before they are pooled, but their level is that of the unscaled size.
    """

    def __init__(self, extractor: Any, roi_scale: float = 1.0) -> None:
        super().__init__()
        layer = extractor.roi_layers[0]
        self.scales = [float(level.spatial_scale) for level in extractor.roi_layers]
        self.finest_scale = float(extractor.finest_scale)
        self.roi_scale = roi_scale
        self.rows, self.columns = (int(size) for size in layer.output_size)
        self.sampling_ratio = int(layer.sampling_ratio)
        self.aligned = bool(layer.aligned)

    def forward(self, features: list[Tensor], rois: Tensor) -> Tensor:
        """Pool RoIs.

        Args:
            features: (1, C, h, w) float32 of each level.
            rois: (N, 4) float32, xyxy, pixels of the network's input.

        Returns:
            (N, C, rows, columns) float32.
        """
        pooled = features[0].new_zeros(rois.size(0), features[0].size(1), self.rows, self.columns)
        levels = map_roi_levels(rois, len(self.scales), self.finest_scale)
        rois = scale_rois(rois, self.roi_scale)
        for level, scale in enumerate(self.scales):
            chosen = torch.nonzero(levels == level).view(-1)
            if chosen.size(0) > 0:
                size, image = (self.rows, self.columns), torch.zeros_like(chosen)
                pooled[chosen] = roi_align(
                    features[level], rois[chosen], image, size, scale, self.sampling_ratio, self.aligned
                )
        return pooled


def scale_rois(rois: Tensor, scale: float) -> Tensor:
    """Scale RoIs about their centres (`BaseRoIExtractor.roi_rescale`).

    Args:
        rois: (N, 4) float32, xyxy.
        scale: factor of width and height.
    """
    if scale == 1.0:
        return rois
    centres, sizes = (rois[:, :2] + rois[:, 2:]) * 0.5, (rois[:, 2:] - rois[:, :2]) * scale
    return torch.cat([centres - sizes * 0.5, centres + sizes * 0.5], dim=-1)
