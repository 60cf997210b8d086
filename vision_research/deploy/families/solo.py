"""SOLO, Decoupled SOLO and SOLOv2: a mask for each cell of a grid, and matrix NMS.

Traced are backbone, neck and head, up to the scores of all grid cells. Everything from the choice of cells on is
scripted. SOLO gives no boxes; the exported module gives the boxes around its masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.family import Family, FoundMasks, Scale, Size, inherits_unchanged
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.ops.masks import MatrixNms, mask_boxes, resize_maps


class SoloNetwork(nn.Module):
    """Backbone, neck and head as one module from a tensor to scores and the maps that masks are computed from."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        # SOLOv2 activates its scores in `predict_by_feat`.
        self.gives_logits = hasattr(detector.mask_head, "dynamic_conv_size")

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the (B, cells, classes) scores of all levels, and the head's other outputs."""
        with plain_layers():
            outputs = self.detector.mask_head(self.detector.extract_feat(tensor))
        if self.gives_logits:
            kernels, logits, features = outputs
            return [_cells([_peaks(level.sigmoid()) for level in logits]), _cells(kernels), features]
        return [_cells(outputs[-1]), *(torch.cat(list(maps), dim=1) for maps in outputs[:-1])]


def _cells(maps: Sequence[Tensor]) -> Tensor:
    """(B, C, side, side) maps of all levels as (B, cells, C)."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in maps], dim=1)


def _peaks(scores: Tensor) -> Tensor:
    """Scores, set to zero where a neighbour scores more."""
    highest = F.max_pool2d(scores, 2, stride=1, padding=1)
    return scores * (highest[:, :, :-1, :-1] == scores)


class CellMasks(nn.Module):
    """SOLO: each cell has a map of its own."""

    def forward(self, maps: list[Tensor], cells: Tensor) -> Tensor:
        """Compute the masks of cells.

        Args:
            maps: (1, cells, h, w) float32 of all cells.
            cells: (N,) int64 indices of cells.

        Returns:
            (N, h, w) float32 probabilities.
        """
        return maps[0][0, cells]


class CrossedMasks(nn.Module):
    """Decoupled SOLO: the product of the map of a cell's column and the map of its row."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        columns, rows, start = [], [], 0
        for side in head.num_grids:
            index = torch.arange(side * side)
            columns.append(index % side + start)
            rows.append(torch.div(index, side, rounding_mode="floor") + start)
            start += side
        self.columns = nn.Buffer(torch.cat(columns))
        self.rows = nn.Buffer(torch.cat(rows))

    def forward(self, maps: list[Tensor], cells: Tensor) -> Tensor:
        """As `CellMasks.forward`, from the (1, columns, h, w) and the (1, rows, h, w) maps."""
        return maps[0][0, self.columns[cells]] * maps[1][0, self.rows[cells]]


class KernelMasks(nn.Module):
    """SOLOv2: each cell has a kernel, which is applied to one feature map."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.size = int(head.dynamic_conv_size)

    def forward(self, maps: list[Tensor], cells: Tensor) -> Tensor:
        """As `CellMasks.forward`, from the (1, cells, E) kernels and the (1, C, h, w) features."""
        if self.size == 1 and not torch.jit.is_scripting():  # type: ignore[attr-defined]
            # For graphs, because OpenVINO has no convolution with computed kernels.
            rows, columns = maps[1].shape[2:]
            return (maps[0][0, cells] @ maps[1][0].flatten(1)).view(-1, rows, columns).sigmoid()
        kernels = maps[0][0, cells].view(cells.size(0), -1, self.size, self.size)
        return F.conv2d(maps[1], kernels)[0].sigmoid()


class SoloPostprocess(nn.Module):
    """`_predict_by_feat_single` of SOLO's heads.

    Args:
        head: MMDetection's head; its grids and test_cfg are read.
        masks: computes the masks of cells.
    """

    def __init__(self, head: Any, masks: nn.Module) -> None:
        super().__init__()
        config = head.test_cfg
        self.masks = masks
        self.stride = int(getattr(head, "mask_stride", 4))
        self.score_thr = float(config.score_thr)
        self.mask_thr = float(config.mask_thr)
        self.max_per_img = int(config.max_per_img)
        self.nms = MatrixNms(int(config.nms_pre), str(config.kernel), float(config.sigma), float(config.filter_thr))
        sizes = [torch.full((side * side,), float(s)) for side, s in zip(head.num_grids, head.strides, strict=True)]
        self.smallest = nn.Buffer(torch.cat(sizes))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale, image_size: Size) -> FoundMasks:
        """See `Family.postprocess`; boxes are those around the masks.

        `maps` are (1, cells, classes) scores, then the maps that masks are computed from.
        """
        scores, labels, probabilities = self._candidates(maps)
        masks = probabilities > self.mask_thr
        areas = masks.flatten(1).sum(1).to(scores.dtype)
        scores = scores * ((probabilities * masks).flatten(1).sum(1) / areas)
        scores, keep = self.nms(masks, labels, scores, areas)
        if self.max_per_img > 0:
            scores, keep = scores[: self.max_per_img], keep[: self.max_per_img]
        kept = probabilities[keep]
        kept = resize_maps(kept, kept.size(1) * self.stride, kept.size(2) * self.stride)[:, : clip[0], : clip[1]]
        masks = resize_maps(kept, image_size[0], image_size[1]) > self.mask_thr
        return mask_boxes(masks), scores, labels[keep], masks

    def _candidates(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores above the threshold, their labels and (N, h, w) probabilities, of masks larger than their stride."""
        above = maps[0][0] > self.score_thr
        where = torch.nonzero(above)
        scores, cells, labels = maps[0][0][above], where[:, 0], where[:, 1]
        if torch.jit.is_scripting() and scores.size(0) == 0:  # type: ignore[attr-defined]
            # A convolution needs a kernel; its result is dropped below.
            cells = torch.zeros(1, dtype=torch.int64, device=scores.device)
            return scores, labels, self.masks(maps[1:], cells)[:0]
        probabilities = self.masks(maps[1:], cells)
        areas = (probabilities > self.mask_thr).flatten(1).sum(1).to(scores.dtype)
        large = areas > self.smallest[cells]
        return scores[large], labels[large], probabilities[large]


class SoloFamily(Family):
    """SOLO, Decoupled SOLO, SOLOv2."""

    name = "grids of masks with matrix NMS (SOLO, Decoupled SOLO, SOLOv2)"
    traced = SoloNetwork
    predictor = "mask_head"
    gives_masks = True

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models.dense_heads.base_mask_head import BaseMaskHead

        head = getattr(detector, "mask_head", None)
        kind = _kind(head)
        if getattr(detector, "bbox_head", None) is not None or kind is None:
            return ["its masks come from no SOLOHead"]
        return [
            *inherits_unchanged(head, BaseMaskHead, ("predict",)),
            *inherits_unchanged(head, kind[0], ("predict_by_feat", "_predict_by_feat_single", "resize_feats")),
        ]

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`."""
        kind = _kind(detector.mask_head)
        assert kind is not None
        return SoloPostprocess(detector.mask_head, kind[1](detector.mask_head))


def _kind(head: Any) -> tuple[type, Callable[[Any], nn.Module]] | None:
    """The class that a head decodes as, and how its masks are made; None where it is no head of SOLO's."""
    from mmdet.models.dense_heads import DecoupledSOLOHead, SOLOHead, SOLOV2Head

    kinds: tuple[tuple[type, Callable[[Any], nn.Module]], ...] = (
        (SOLOV2Head, KernelMasks),
        (DecoupledSOLOHead, CrossedMasks),
        (SOLOHead, lambda head: CellMasks()),
    )
    return next((kind for kind in kinds if isinstance(head, kind[0])), None)
