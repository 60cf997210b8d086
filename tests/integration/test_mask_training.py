"""A detector with masks through the product: trained on polygons, exported with its masks compared."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from workplace import Workplace

pytestmark = pytest.mark.slow


def write_polygons(folder: Path, count: int = 4) -> None:
    """A COCO data set of squares and triangles on noise, annotated with polygons."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(count):
        picture = rng.integers(0, 80, (96, 128, 3), dtype=np.uint8)
        for category, corners in ((1, [[10, 10], [60, 10], [60, 50], [10, 50]]), (2, [[70, 40], [120, 90], [70, 90]])):
            points = np.array(corners, np.int32)
            cv2.fillPoly(picture, [points], (250, 120 * category, 30))
            x, y, width, height = cv2.boundingRect(points)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": category,
                    "bbox": [x, y, width, height],
                    "segmentation": [points.flatten().tolist()],
                    "area": float(cv2.contourArea(points)),
                    "iscrowd": 0,
                }
            )
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
        images.append({"id": index, "file_name": f"{index}.png", "height": 96, "width": 128})
    categories = [{"id": 1, "name": "square"}, {"id": 2, "name": "triangle"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "all.json").write_text(json.dumps(document))


def test_mask_rcnn_is_trained_on_polygons_and_exported_with_its_masks(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    (tmp_path / "shapes").mkdir()
    write_polygons(tmp_path / "shapes")
    printed = workplace.run(
        "model=zoo/mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
        "model.weights=none",
        "model.backbone.depth=18",
        "model.neck.in_channels=[64,128,256,512]",
        "model.test_cfg.rpn.max_per_img=50",
        "model.test_cfg.rcnn.max_per_img=20",
        "data=coco",
        "data.root=shapes",
        "data.train_ann=all.json",
        "data.val_ann=all.json",
        "data.batch_size=2",
        "image_size=[128,128]",
        "debug=one_batch",
        "hw=cpu",
        "hw.num_threads=1",
        "tracking=none",
        "export.num_images=2",
        "work_dir=run",
        tiny=False,
    )

    assert "segm_mAP" in (tmp_path / "run" / "config.py").read_text() + printed
    manifest = json.loads((tmp_path / "run" / "export" / "model.ts.json").read_text())
    assert "masks" in manifest["output"]
    measured = manifest["verification"]["from_image"]
    assert measured["max_mask_difference"] <= measured["allowed_mask_difference"]
    image = torch.from_numpy(cv2.imread(str(tmp_path / "shapes" / "0.png")))
    boxes, _, labels, masks = torch.jit.load(tmp_path / "run" / "export" / "model.ts")(image)
    assert masks.shape == (len(boxes), 96, 128) and masks.dtype == torch.bool and len(labels) == len(boxes)
