"""A data set of images without annotations, for semi-supervised training.

Importing this module registers `UnlabelledDataset`, and loads torch.
"""

from __future__ import annotations

import json
from typing import Any

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.fileio import get_text

from vision_research.config.addresses import join


@DATASETS.register_module()
class UnlabelledDataset(BaseDetDataset):
    """The `images` of a COCO file.

    MMDetection's CocoDataset requires `categories`, which COCO's own `image_info_unlabeled2017.json` lacks.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the file.

        Returns:
            For each image `img_id`, `img_path`, `height` and `width` in pixels, and empty `instances`.
        """
        images = json.loads(get_text(self.ann_file, backend_args=self.backend_args))["images"]
        return [
            {
                "img_id": image["id"],
                "img_path": join(self.data_prefix["img"], image["file_name"]),
                "height": image["height"],
                "width": image["width"],
                "instances": [],
            }
            for image in images
        ]
