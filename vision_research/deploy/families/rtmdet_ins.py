"""RTMDet-Ins: a dense head that predicts, for every prior, the weights of a small network for its mask.

Traced are backbone, neck and head. Scripted are the choice of candidates, their suppression, and the masks of the kept
ones.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.coders import build_decoder
from vision_research.deploy.families.dense import best_scores
from vision_research.deploy.families.family import BoxHeadFamily, BoxHeadNetwork, FoundMasks, Scale, Size
from vision_research.deploy.families.plain_layers import plain_layers
from vision_research.deploy.families.priors import build_priors
from vision_research.deploy.families.select import BoxSelection, large_enough, to_image
from vision_research.ops.masks import resize_maps

# Upper limit of the pixels of a side.
_MOST_PIXELS = 2**20


class InstanceNetwork(BoxHeadNetwork):
    """As `BoxHeadNetwork`, for a head that also gives the one map of mask features."""

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (1, 3, H, W) float32 to class, box and kernel maps of all levels, and the features of masks."""
        with plain_layers():
            classes, boxes, kernels, features = self.detector.bbox_head(self.detector.extract_feat(tensor))
        return [*classes, *boxes, *kernels, features]


class DynamicMasks(nn.Module):
    """`RTMDetInsHead._mask_predict_by_feat_single`: runs each instance's own network on shared features."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.grid = build_priors(head.prior_generator)[0]
        self.weight_sizes = [int(size) for size in head.weight_nums]
        self.bias_sizes = [int(size) for size in head.bias_nums]

    def forward(self, features: Tensor, kernels: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """Compute mask logits.

        Args:
            features: (1, C, h, w) float32.
            kernels: (N, parameters) float32 of the instances' networks.
            points: (N, 2) float32 of their priors, x and y, pixels of the network's input.
            strides: (N,) float32 of their priors.

        Returns:
            (N, h, w) float32.
        """
        height, width = features.size(2), features.size(3)
        relative = (points[:, None] - self.grid(height, width)[None]) / (strides[:, None, None] * 8)
        shared = features.flatten(2).expand(points.size(0), features.size(1), height * width)
        x = torch.cat([relative.transpose(1, 2), shared], dim=1)
        parameters = torch.split(kernels, self.weight_sizes + self.bias_sizes, dim=1)
        num_layers = len(self.weight_sizes)
        # Matrix products: MMDetection's convolution has a group for each instance, a count that a graph does not know.
        for layer in range(num_layers):
            outputs = self.bias_sizes[layer]
            weight = parameters[layer].reshape(points.size(0), outputs, self.weight_sizes[layer] // outputs)
            x = torch.baddbmm(parameters[num_layers + layer][:, :, None], weight, x)
            if layer < num_layers - 1:
                x = F.relu(x)
        return x.view(points.size(0), height, width)


class InstancePostprocess(BoxSelection):
    """`RTMDetInsHead.predict_by_feat` for one image."""

    def __init__(self, head: Any) -> None:
        super().__init__(head.test_cfg)
        self.priors = build_priors(head.prior_generator)
        self.decoder = build_decoder(head.bbox_coder)
        self.masks = DynamicMasks(head)
        self.strides = [float(stride[0]) for stride in head.prior_generator.strides]
        self.num_levels = len(self.strides)
        self.num_channels = int(head.cls_out_channels)
        self.mask_thr = float(head.test_cfg.mask_thr_binary)

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale, image_size: Size) -> FoundMasks:
        """See `Family.postprocess`; `maps` are class, box and kernel maps of all levels, then mask features."""
        priors, deltas, kernels, scores, labels = self._candidates(maps)
        boxes = to_image(self.decoder(priors[:, :2], deltas, clip), scale_factor)
        if self.min_bbox_size >= 0:
            large = large_enough(boxes, self.min_bbox_size)
            boxes, scores, labels = boxes[large], scores[large], labels[large]
            priors, kernels = priors[large], kernels[large]
        keep, scores = self.nms(boxes, scores, labels, self.max_per_img)
        keep, scores = keep[: self.max_per_img], scores[: self.max_per_img]
        logits = self.masks(maps[-1], kernels[keep], priors[keep, :2], priors[keep, 2])
        return boxes[keep], scores, labels[keep], self._to_image(logits, scale_factor, image_size)

    def _candidates(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of all levels: priors (N, 3) with their strides, deltas, kernels, scores and labels."""
        all_priors: list[Tensor] = []
        all_deltas: list[Tensor] = []
        all_kernels: list[Tensor] = []
        all_scores: list[Tensor] = []
        all_labels: list[Tensor] = []
        for level, grid in enumerate(self.priors):
            class_map = maps[level][0]
            logits = class_map.permute(1, 2, 0).reshape(-1, self.num_channels)
            scores, labels, chosen = best_scores(logits.sigmoid(), self.score_thr, self.nms_pre)
            points = grid(class_map.size(1), class_map.size(2))[chosen]
            all_priors.append(F.pad(points, [0, 1], value=self.strides[level]))
            all_deltas.append(_rows(maps[self.num_levels + level])[chosen])
            all_kernels.append(_rows(maps[2 * self.num_levels + level])[chosen])
            all_scores.append(scores)
            all_labels.append(labels)
        priors, deltas, kernels = torch.cat(all_priors), torch.cat(all_deltas), torch.cat(all_kernels)
        return priors, deltas, kernels, torch.cat(all_scores), torch.cat(all_labels)

    def _to_image(self, logits: Tensor, scale_factor: Scale, image_size: Size) -> Tensor:
        """(N, h, w) logits to (N, height, width) bool masks of the image."""
        stride = int(self.strides[0])
        logits = resize_maps(logits, logits.size(1) * stride, logits.size(2) * stride)
        # As in MMDetection, the height is scaled by the factor of the width; rows that are then missing stay empty.
        height, width = rescaled(logits.size(1), scale_factor[0]), rescaled(logits.size(2), scale_factor[1])
        masks = resize_maps(logits, height, width).sigmoid() > self.mask_thr
        y, x = torch.arange(image_size[0], device=masks.device), torch.arange(image_size[1], device=masks.device)
        masks = masks.index_select(1, y.clamp(max=height - 1)).index_select(2, x.clamp(max=width - 1))
        return masks & (y < height)[:, None] & (x < width)


def rescaled(side: int, factor: float) -> int:
    """A side of the network's input in pixels of the image, rounded up as Python does.

    Args:
        side: pixels of the network's input.
        factor: pixels of the network's input per pixel of the image.
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        exact = torch.scalar_tensor(side, dtype=torch.float64) * (1 / torch.scalar_tensor(factor, dtype=torch.float64))
        # A whole number that the graph computes; torch's stubs type it as int | float | bool.
        pixels: Any = exact.ceil().to(torch.int64).item()
        torch._check(pixels >= 1)  # type: ignore[no-untyped-call]
        torch._check(pixels <= _MOST_PIXELS)  # type: ignore[no-untyped-call]
        return cast(int, pixels)
    return int(math.ceil(side * (1 / factor)))


def _rows(level: Tensor) -> Tensor:
    """A (1, channels, h, w) map as (h * w, channels)."""
    return level[0].permute(1, 2, 0).flatten(0, 1)


class InstanceFamily(BoxHeadFamily):
    """RTMDet-Ins."""

    name = "RTMDetInsHead (RTMDet-Ins)"
    head = "RTMDetInsHead"
    methods = (
        "predict",
        "predict_by_feat",
        "_predict_by_feat_single",
        "_bbox_mask_post_process",
        "_mask_predict_by_feat_single",
        "parse_dynamic_params",
    )
    decoding = InstancePostprocess
    traced = InstanceNetwork
    gives_masks = True
