"""What a family of detectors must offer to be exported, and how a head is recognised.

A family is recognised by how its head decodes (which class defines the methods that run), never by a model's name, so a
new model on known parts is exported without a change here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Family(ABC):
    """Detectors that are exported in one way."""

    name: str
    """What the person reads in a refusal."""

    gives_masks: bool = False
    """Whether detections carry masks: the postprocessing then takes the image's size besides, and returns masks too."""

    adds_threshold: bool = False
    """Whether MMDetection's head gives out any score, so that `score_thr` is the exported module's own."""

    @abstractmethod
    def refusals(self, detector: Any) -> list[str]:
        """Why this detector is not one of the family; empty where it is."""

    @abstractmethod
    def network(self, detector: Any) -> nn.Module:
        """The part that is traced: from (1, 3, H, W) float32 to a list of tensors, for any H and W."""

    @abstractmethod
    def postprocess(self, detector: Any, outputs: list[Tensor]) -> nn.Module:
        """The part that is scripted: from the network's outputs, clip and scale_factor to boxes, scores and labels.

        Where the family gives masks, it also takes the image's (height, width), and returns (N, height, width) bool.

        The graph formats run the same code through `torch.export`, so it takes no Python branch or loop on a count:
        slices that clamp instead of `min`, and `if torch.jit.is_scripting() and ...` where a script alone needs one.

        Its `score_thr`, and `max_per_img` where the head has such a limit, are plain attributes: a check moves them.
        """

    @abstractmethod
    def test_cfg(self, detector: Any) -> Any:
        """The config that holds the detector's own `score_thr` and `max_per_img`."""

    def num_candidates(self, detector: Any) -> int | None:
        """What `max_per_img` must not exceed, where the detector has a fixed number of candidates."""
        return None


def overrides(instance: Any, base: type, methods: Sequence[str]) -> list[str]:
    """The methods, of those named, that an object defines otherwise than a base class."""
    return [method for method in methods if getattr(type(instance), method, None) is not getattr(base, method)]


def inherits_unchanged(head: Any, base: type, methods: Sequence[str]) -> list[str]:
    """Name the methods that a head defines otherwise than its base: those the exported code would not reproduce.

    Args:
        head: a built head.
        base: the class whose methods the exported code reproduces.
        methods: their names.

    Returns:
        One reason for each method that was overridden.
    """
    return [f"{type(head).__name__} has its own {method}" for method in overrides(head, base, methods)]
