"""Gives the names of the classes by label, as MMDetection's drawing of names for each image reads them.

Importing this module registers `NamesByLabel`.
"""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NamesByLabel(BaseTransform):
    """Turn the list of class names that a COCO data set gives into the labelled names of an ODVG data set."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turn them.

        Args:
            results: a sample whose `text` is the names, in the order of the labels; it becomes `{"0": name, ...}`, a
                new one for every sample, since RandomSamplingNegPos writes into it.

        Returns:
            The sample.
        """
        results["text"] = {str(label): name for label, name in enumerate(results["text"])}
        return results
