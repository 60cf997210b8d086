"""What families share whose detectors have a `bbox_head` with maps that are decoded at once, without a second stage."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from vision_research.deploy.families.family import Family, inherits_unchanged
from vision_research.deploy.families.plain_layers import plain_layers


class BoxHeadNetwork(nn.Module):
    """Backbone, neck and `bbox_head` as one module from a tensor to a list of maps.

    Args:
        detector: MMDetection's single-stage detector.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the maps of all levels, kind by kind."""
        with plain_layers():
            outputs = self.detector.bbox_head(self.detector.extract_feat(tensor))
        return [level for kind in outputs for level in kind]


class BoxHeadFamily(Family):
    """Detectors whose maps a class of `mmdet.models.dense_heads` decodes with methods of its own."""

    head: ClassVar[str]
    """Name of that class; a detector belongs to the family where its `bbox_head` is one."""

    methods: ClassVar[tuple[str, ...]]
    """Methods of that class that the exported code reproduces."""

    decoding: ClassVar[type[nn.Module]]
    """Module that decodes the maps, made from the head."""

    traced: ClassVar[type[nn.Module]] = BoxHeadNetwork
    """Module from a tensor to the maps, made from the detector."""

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models import dense_heads

        base = getattr(dense_heads, self.head)
        head = getattr(detector, "bbox_head", None)
        if not isinstance(head, base):
            return [f"its bbox_head is no {self.head}"]
        return inherits_unchanged(head, base, self.methods)

    def network(self, detector: Any) -> nn.Module:
        """See `Family.network`."""
        return self.traced(detector)

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`."""
        return self.decoding(detector.bbox_head)

    def test_cfg(self, detector: Any) -> Any:
        """See `Family.test_cfg`."""
        return detector.bbox_head.test_cfg
