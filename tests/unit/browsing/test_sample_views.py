"""Images, boxes and masks are read from results of every form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from vision_research.browsing.sample_views import views

IMAGE = np.full((4, 8, 3), 7, np.uint8)
BOXES = np.array([[1, 1, 3, 3], [0, 0, 8, 4]], np.float32)


def test_an_image_with_an_ignored_object() -> None:
    results = {
        "img": IMAGE,
        "gt_bboxes": HorizontalBoxes(torch.from_numpy(BOXES)),
        "gt_bboxes_labels": np.array([2, 3]),
        "gt_ignore_flags": np.array([False, True]),
    }
    (view,) = views(results)
    np.testing.assert_array_equal(view.boxes, BOXES)
    assert view.labels.tolist() == [2, -1] and view.masks is None
    assert view.image is not IMAGE and (view.image == 7).all()


def test_an_image_without_annotations_has_no_objects() -> None:
    (view,) = views({"img": IMAGE})
    assert view.boxes.shape == (0, 4) and view.labels.shape == (0,)


def test_nothing_is_seen_before_an_image_is_loaded() -> None:
    assert list(views({"img_path": "a.jpg"})) == []


def test_annotations_of_the_original_image_are_resized_and_shifted() -> None:
    masks = np.zeros((1, 2, 4), np.uint8)
    masks[0, 0, 1:3] = 1
    results = {
        "img": np.zeros((6, 9, 3), np.uint8),
        "gt_bboxes": np.array([[1, 0, 3, 1]], np.float32),
        "gt_masks": BitmapMasks(masks, 2, 4),
        "scale_factor": (2.0, 2.0),
        "border": (1, 5, 1, 9),
    }
    (view,) = views(results, loaded_late=True)
    assert view.boxes.tolist() == [[3, 1, 7, 3]]
    assert view.masks is not None and view.masks.shape == (1, 6, 9) and view.masks.any()
    rows, columns = np.nonzero(view.masks[0])
    np.testing.assert_allclose([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [3, 1, 7, 3], atol=1)


def test_the_frames_of_a_video_are_views_of_their_own() -> None:
    seen = list(views({"img": [IMAGE, IMAGE + 1], "gt_bboxes": [BOXES, BOXES[:1]]}))
    assert [len(view.boxes) for view in seen] == [2, 1]
    assert [int(view.image.max()) for view in seen] == [7, 8]


def test_branches_without_an_image_are_left_out() -> None:
    objects = SimpleNamespace(bboxes=BOXES, labels=torch.tensor([0, 1]))
    packed = {
        "inputs": {"sup": torch.full((3, 4, 8), 9, dtype=torch.uint8), "unsup_teacher": None},
        "data_samples": {"sup": SimpleNamespace(gt_instances=objects)},
    }
    (view,) = views(packed)
    assert view.image.shape == (4, 8, 3) and view.image.max() == 9
    assert view.labels.tolist() == [0, 1]


def test_normalisation_is_undone_and_grey_images_get_three_channels() -> None:
    norm_cfg = {"mean": np.array([1.0, 2, 3]), "std": np.array([2.0, 2, 2]), "to_rgb": True}
    (view,) = views({"img": np.full((2, 2, 3), 10.0, np.float32), "img_norm_cfg": norm_cfg})
    assert view.image[0, 0].tolist() == [23, 22, 21]
    (grey,) = views({"img": np.full((2, 2), 5, np.uint8)})
    assert grey.image.shape == (2, 2, 3)
