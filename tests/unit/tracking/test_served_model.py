"""The code that runs in an MLflow model: what it takes for an image."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as mask_api
from torch import Tensor

from vision_research.evaluation.coco_results import decode_mask, encode_mask
from vision_research.tracking.served_model import ServedDetector, consecutive_of_one_size, read_image, run_lengths

IMAGE = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_an_image_is_an_array_a_list_a_path_or_base64(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), IMAGE)
    text = base64.b64encode(path.read_bytes()).decode()
    for item in (IMAGE, IMAGE.tolist(), str(path), text, f"data:image/png;base64,{text}"):
        image = read_image(item)
        assert image.dtype == np.uint8 and (image == IMAGE).all()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("no file!", "is neither a file nor the base64 text of one"),
        (base64.b64encode(b"no image").decode(), "is no image that OpenCV can decode"),
        ("", "is no image that OpenCV can decode"),
        ([[1, 2], [3, 4]], r"an image is \(H, W, 3\)"),
        ([[[300, 0, 0]]], "with values 0 to 255"),
    ],
)
def test_what_is_no_image_is_refused(item: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image(item)


def test_masks_are_sent_as_coco_reads_them() -> None:
    rng = np.random.default_rng(0)
    shapes = ((4, 3), (1, 9), (6, 5))
    masks = [rng.random(shape) > 0.5 for shape in shapes] + [np.ones((3, 2), bool), np.zeros((3, 2), bool)]
    for mask in masks:
        sent = json.loads(json.dumps(run_lengths(mask)))
        read = mask_api.decode(mask_api.frPyObjects(sent, *mask.shape))
        assert (read == mask).all(), mask
        assert (decode_mask(sent, *mask.shape) == mask).all()
        assert encode_mask(decode_mask(sent, *mask.shape)) == encode_mask(mask), "as the rest of the package encodes it"
    assert run_lengths(np.ones((3, 2), bool))["counts"] == [0, 6]


def test_images_are_taken_together_with_neighbours_of_their_size() -> None:
    small, large = np.zeros((2, 2, 3)), np.zeros((3, 2, 3))

    groups = [len(group) for group in consecutive_of_one_size([small, small, small, large, large, small], 2)]

    assert groups == [2, 1, 2, 1]
    assert not list(consecutive_of_one_size([], 2))


class CornerDetector(torch.nn.Module):
    """Stands for an exported model: in each image one object, whose box ends at its first pixel's first two values."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As a model for a batch, with masks; images that begin with zero have no object."""
        counts = (images[:, 0, 0, 0] > 0).long()
        boxes = torch.zeros(images.size(0), 1, 4)
        boxes[:, 0, 2:] = images[:, 0, 0, :2].float()
        masks = torch.zeros(images.size(0), 1, images.size(1), images.size(2), dtype=torch.bool)
        masks[:, 0, 0] = True
        return boxes, torch.ones(images.size(0), 1), counts[:, None] - 1, masks, counts


@pytest.mark.parametrize("batch", [2, None])
def test_a_model_for_a_batch_answers_for_each_image_that_was_sent(batch: int | None, tmp_path: Path) -> None:
    torch.jit.script(CornerDetector()).save(str(tmp_path / "model.ts"))
    (tmp_path / "model.ts.json").write_text(json.dumps({"classes": ["corner"], "batch": batch}))
    served = ServedDetector()
    served.load_context(
        SimpleNamespace(artifacts={"model": tmp_path / "model.ts", "manifest": tmp_path / "model.ts.json"})
    )
    images = [np.full((4, 5, 3), value, np.uint8) for value in (7, 0, 9)]

    first, second, third = served.predict(images)

    assert first["boxes"] == [[0, 0, 7, 7]] and third["boxes"] == [[0, 0, 9, 9]]
    assert first["classes"] == ["corner"] and first["masks"] == [run_lengths(np.arange(20).reshape(4, 5) < 5)]
    assert second == {"boxes": [], "scores": [], "labels": [], "classes": [], "masks": []}
