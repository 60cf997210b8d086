"""CenterNet as first published: objects are the peaks of a heat map, each with a size and an offset.

The image is not resized and lies in the middle of its padding (`InputSpec.centred`). Nothing is suppressed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.families.family import BoxHeadFamily, BoxHeadNetwork, Found, Scale, Size
from vision_research.deploy.families.select import divide_to_image


class CenterNetNetwork(BoxHeadNetwork):
    """As `BoxHeadNetwork`, and the tensor's size."""

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (1, 3, H, W) float32 to the head's three maps, and (1, 1, H, W) of which the size is of use."""
        return [*super().forward(tensor), tensor[:, :1]]


class CenterNetPostprocess(nn.Module):
    """`CenterNetHead.predict_by_feat` for one image."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.kernel = int(head.test_cfg.local_maximum_kernel)
        self.topk = int(head.test_cfg.topk)
        self.score_thr = float(head.test_cfg.get("score_thr", 0.0))

    def forward(self, maps: list[Tensor], clip: Size, scale_factor: Scale) -> Found:
        """See `Family.postprocess`; boxes are not clipped.

        `maps` are the heat map (1, classes, h, w), sizes and offsets (1, 2, h, w), float32, and a map of the size of
        the network's input, in whose middle the image of size `clip` lies.
        """
        height, width = maps[0].size(2), maps[0].size(3)
        # MMDetection pads by half of the kernel, and keeps scores equal to the maximum around them.
        highest = F.max_pool2d(maps[0], self.kernel, stride=1, padding=(self.kernel - 1) // 2)
        peaks = maps[0] * (highest == maps[0]).to(maps[0].dtype)
        # Cloned: torch.export assumes that it is contiguous already, which holds not for every convolution.
        peaks = peaks.clone(memory_format=torch.contiguous_format).view(-1)
        scores, chosen = self._best(peaks)
        # Quotients only: torch's ONNX exporter has no remainder by a size that the graph computes.
        labels = torch.div(chosen, height * width, rounding_mode="floor")
        cells = chosen - labels * (height * width)
        y = torch.div(cells, width, rounding_mode="floor")
        x = cells - y * width
        size = maps[1][0].flatten(1)[:, cells].t()
        centre = torch.stack([x, y], dim=1) + maps[2][0].flatten(1)[:, cells].t()
        rows, columns = maps[3].size(2), maps[3].size(3)
        across, down = columns / width, rows / height
        stride = torch.tensor([across, down, across, down], dtype=size.dtype, device=size.device)
        corners = torch.cat([centre - size / 2, centre + size / 2], dim=1) * stride
        top, left = rows // 2 - clip[0] // 2, columns // 2 - clip[1] // 2
        border = torch.tensor([left, top, left, top], dtype=size.dtype, device=size.device)
        boxes = divide_to_image(corners - border, scale_factor)
        above = scores > self.score_thr
        return boxes[above], scores[above], labels[above]

    def _best(self, peaks: Tensor) -> tuple[Tensor, Tensor]:
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return peaks.topk(self.topk)
        # A graph has no lower limit of its cells, and `topk` needs at least as many.
        ranked, order = peaks.sort(descending=True)
        return ranked[: self.topk], order[: self.topk]


class CenterNetFamily(BoxHeadFamily):
    """CenterNet."""

    name = "CenterNetHead (CenterNet)"
    head = "CenterNetHead"
    methods = ("predict", "predict_by_feat", "_predict_by_feat_single", "_decode_heatmap")
    decoding = CenterNetPostprocess
    traced = CenterNetNetwork
    adds_threshold = True

    def num_candidates(self, detector: Any) -> int:
        """Return the number of peaks that are considered."""
        return int(detector.bbox_head.test_cfg.topk)
