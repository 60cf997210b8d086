"""Converts the class names of a sample to the format that RandomSamplingNegPos reads.

Importing this module registers `NamesByLabel`.
"""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NamesByLabel(BaseTransform):
    """Convert the list of class names of a COCO data set to the dict of an ODVG data set."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Convert `text` from the names in the order of the labels to `{"0": name, ...}`.

        It is a new dict for every sample, since RandomSamplingNegPos changes it.
        """
        results["text"] = {str(label): name for label, name in enumerate(results["text"])}
        return results
