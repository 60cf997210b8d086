"""Loads a panoptic map: masks of the things, and the class of every pixel.

Importing this module registers `LoadPanopticMap`. MMDetection's LoadPanopticAnnotations does the same, but needs
panopticapi, which is on no package index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get

from vision_research.datasets.coco.panoptic_png import decode_map

# Label that losses ignore.
IGNORED = 255


@TRANSFORMS.register_module()
class LoadPanopticMap(LoadAnnotations):
    """Load boxes, labels, masks and the class map of an image of MMDetection's CocoPanopticDataset."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the annotations of a sample from its `instances`, `segments_info` and `seg_map_path`.

        It adds `gt_bboxes`, `gt_bboxes_labels`, `gt_masks` (of the things, in the order of the boxes) and `gt_seg_map`:
        (H, W) uint8, the label of each pixel, with things first and 255 for no label.
        """
        self._load_bboxes(results)
        self._load_labels(results)
        ids = decode_map(get(results["seg_map_path"], backend_args=self.backend_args))
        classes = np.full(ids.shape, IGNORED, dtype=np.uint8)
        masks = []
        for segment in results["segments_info"]:
            mask = ids == segment["id"]
            classes[mask] = segment["category"]
            if segment["is_thing"]:
                masks.append(mask.astype(np.uint8))
        results["gt_masks"] = BitmapMasks(masks, *ids.shape)
        results["gt_seg_map"] = classes
        return results
