"""What a family of detectors defines so that they can be exported, and how a head is recognised.

A family is recognised by the classes that define the methods of its head, never by a model's name. So a new model made
of known parts is exported without a change here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Family(ABC):
    """Detectors that are exported in the same way."""

    name: str
    """The family's name in messages."""

    gives_masks: bool = False
    """Whether detections have masks: the postprocessing then takes the image's size as well, and returns masks too."""

    adds_threshold: bool = False
    """Whether MMDetection's head has no score threshold, so that only the exported module applies `score_thr`."""

    @abstractmethod
    def refusals(self, detector: Any) -> list[str]:
        """Return why this detector does not belong to the family; empty where it does."""

    @abstractmethod
    def network(self, detector: Any) -> nn.Module:
        """Make the module that is traced: from a (B, 3, H, W) float32 tensor to a list of tensors, for any H and W."""

    @abstractmethod
    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """Make the module that is scripted: from the network's outputs to boxes, scores and labels of one image.

        The module takes the outputs, `clip` (height and width at which boxes are clipped) and `scale_factor`; where the
        family gives masks, also the image's (height, width), and it then returns (N, height, width) bool masks too.

        The graph formats run the same code through `torch.export`, so it must not branch or loop on a count in Python:
        use slices that clamp instead of `min`, and `if torch.jit.is_scripting() and ...` where only a script needs a
        branch.

        The module's `score_thr`, and `max_per_img` where the head has such a limit, are plain attributes, because
        checks set them.

        Args:
            detector: built by MMDetection.
            outputs: what the network gives for an example, of a batch of one.
        """

    @abstractmethod
    def test_cfg(self, detector: Any) -> Any:
        """Return the config that holds the detector's own `score_thr` and `max_per_img`."""

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

    Returns:
        One reason for each method that is overridden.
    """
    return [f"{type(head).__name__} has its own {method}" for method in overrides(head, base, methods)]
