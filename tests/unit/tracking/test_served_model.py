"""The code that runs in an MLflow model: what it takes for an image."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_research.tracking.served_model import read_image

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
