"""What a family of detectors defines so that they can be exported, and how a head is recognised.

A family is recognised by the classes that define the methods of its head, never by a model's name. So a new model made
of known parts is exported without a change here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from vision_research.deploy.families.plain_layers import plain_layers

Size = tuple[int, int]
"""Height and width."""

Scale = tuple[float, float]
"""Pixels of the network's input per pixel of the image (x, y)."""

Found = tuple[Tensor, Tensor, Tensor]
"""Boxes (N, 4) float32, xyxy, pixels of the image; scores (N,) float32, descending; labels (N,) int64."""

FoundMasks = tuple[Tensor, Tensor, Tensor, Tensor]
"""As `Found`, and masks (N, height, width) bool of the image."""


class Family(ABC):
    """Detectors that are exported in the same way."""

    name: str
    """The family's name in messages."""

    traced: type[nn.Module]
    """Module that is traced, made from the detector: from (B, 3, H, W) float32 to a list of tensors, any H and W."""

    predictor: str = "bbox_head"
    """Part of the detector whose `test_cfg` holds its own `score_thr` and `max_per_img`."""

    gives_masks: bool = False
    """Whether detections have masks: the postprocessing then takes the image's size as well, and returns masks too."""

    adds_threshold: bool = False
    """Whether MMDetection's head has no score threshold, so that only the exported module applies `score_thr`."""

    @abstractmethod
    def refusals(self, detector: Any) -> list[str]:
        """Return why this detector does not belong to the family; empty where it does."""

    def network(self, detector: Any) -> nn.Module:
        """Make the module that is traced."""
        return self.traced(detector)

    @abstractmethod
    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """Make the module that is scripted: from the network's outputs to `Found` or `FoundMasks` of one image.

        Its `forward` takes `maps`, the outputs, (1, channels, h, w) float32 each; `clip`, the size at which boxes are
        clipped, pixels of the network's input; `scale_factor`; and, where the family gives masks, `image_size`.

        The graph formats run the same code through `torch.export`, so it must not branch or loop on a count in Python:
        use slices that clamp instead of `min`, and `if torch.jit.is_scripting() and ...` where only a script needs a
        branch.

        The module's `score_thr`, and `max_per_img` where the head has such a limit, are plain attributes, because
        checks set them.

        Args:
            detector: built by MMDetection.
            outputs: what the network gives for an example, of a batch of one.
        """

    def test_cfg(self, detector: Any) -> Any:
        """Return the config that holds the detector's own `score_thr` and `max_per_img`."""
        return getattr(detector, self.predictor).test_cfg

    def num_candidates(self, detector: Any) -> int | None:
        """Return the largest possible `max_per_img`; None where the number of candidates is not fixed."""
        return None


def overrides(instance: Any, base: type, methods: Sequence[str]) -> list[str]:
    """Return those of some methods that an object's class defines otherwise than a base class.

    Args:
        instance: the object.
        base: the base class.
        methods: names of the methods.
    """
    return [method for method in methods if getattr(type(instance), method, None) is not getattr(base, method)]


def inherits_unchanged(head: Any, base: type, methods: Sequence[str]) -> list[str]:
    """Name the methods of a head that the exported code would not reproduce, since they differ from its base class.

    Args:
        head: a built head.
        base: the class whose methods the exported code reproduces.
        methods: names of the methods.
    """
    return [f"{type(head).__name__} has its own {method}" for method in overrides(head, base, methods)]


class BoxHeadNetwork(nn.Module):
    """Backbone, neck and `bbox_head` of a detector as one module from a tensor to a list of maps."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """From (B, 3, H, W) float32 to the maps of all levels, kind by kind."""
        with plain_layers():
            outputs = self.detector.bbox_head(self.detector.extract_feat(tensor))
        return [level for kind in outputs for level in kind]


class BoxHeadFamily(Family):
    """Detectors of one stage, the maps of whose `bbox_head` are decoded by a class of `mmdet.models.dense_heads`."""

    head: ClassVar[str]
    """Name of that class; a detector belongs to the family where its `bbox_head` is one."""

    methods: ClassVar[tuple[str, ...]]
    """Methods of that class that the exported code reproduces."""

    decoding: ClassVar[type[nn.Module]]
    """Module that decodes the maps, made from the head."""

    traced = BoxHeadNetwork

    def refusals(self, detector: Any) -> list[str]:
        """See `Family.refusals`."""
        from mmdet.models import dense_heads

        base = getattr(dense_heads, self.head)
        head = getattr(detector, "bbox_head", None)
        if not isinstance(head, base):
            return [f"its bbox_head is no {self.head}"]
        return inherits_unchanged(head, base, self.methods)

    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """See `Family.postprocess`."""
        return self.decoding(detector.bbox_head)
