"""Reads Pascal VOC for training.

Importing this module registers `VOCFolderDataset`. Commands do not import it, because it loads torch.
"""

from __future__ import annotations

from typing import Any, cast

from mmdet.datasets import XMLDataset
from mmdet.registry import DATASETS


@DATASETS.register_module()
class VOCFolderDataset(XMLDataset):
    """MMDetection's XMLDataset, which drops boxes as CocoDataset does.

    XMLDataset keeps boxes of zero width or outside of their image, for which box losses divide by zero.
    """

    def parse_data_info(self, img_info: dict[str, Any]) -> dict[str, Any]:
        """Read one XML file, given its `img_id`, `file_name` and `xml_path`.

        The `instances` of the sample hold `bbox` (xyxy, 0-based pixels), `bbox_label` and `ignore_flag`; with
        `return_classes`, `text` are the names of the classes.
        """
        sample = cast(dict[str, Any], super().parse_data_info(img_info))
        sample["instances"] = [
            instance
            for instance in sample["instances"]
            if _is_visible(instance["bbox"], sample["width"], sample["height"])
        ]
        if self.return_classes:
            # As CocoDataset does for detectors that read the classes as text.
            sample |= {"text": self.metainfo["classes"], "custom_entities": True}
        return sample


def _is_visible(box: list[int], image_width: int, image_height: int) -> bool:
    left, top, right, bottom = box
    has_size = right - left >= 1 and bottom - top >= 1
    return has_size and right > 0 and bottom > 0 and left < image_width and top < image_height
