"""The MLflow model of an exported detector: this file is copied into it and run where the model is loaded or served.

Self-contained: it needs mlflow, numpy, OpenCV (to decode images) and torch, and nothing of this project.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ServedDetector(PythonModel):
    """Detects in images, each an (H, W, 3) uint8 BGR array or nested list, a path, or the base64 text of a file."""

    def load_context(self, context: Any) -> None:
        """Load the TorchScript file and the names of its classes."""
        import torch

        path = context.artifacts["model"]
        self._module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
        self._classes = json.loads(Path(context.artifacts["manifest"]).read_text(encoding="utf-8"))["classes"]

    # The type hints are what MLflow makes the signature of; the context may be left out, unlike in its own base class.
    def predict(  # type: ignore[override]
        self, model_input: list[Any], params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Detect.

        Returns:
            For each image `boxes` (xyxy, pixels of the image), `scores` (falling), `labels` and `classes` (names).
        """
        return [self._detect(read_image(item)) for item in model_input]

    def _detect(self, image: Any) -> dict[str, Any]:
        import torch

        with torch.no_grad():
            boxes, scores, labels = self._module(torch.from_numpy(image))[:3]
        names = [self._classes[label] for label in labels.tolist()]
        return {"boxes": boxes.tolist(), "scores": scores.tolist(), "labels": labels.tolist(), "classes": names}


def read_image(item: Any) -> Any:
    """Turn what a caller sent into an (H, W, 3) uint8 BGR array.

    Raises:
        ValueError: it is no image.
    """
    if not isinstance(item, str):
        image = np.asarray(item)
        if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.min() < 0 or image.max() > 255:
            raise ValueError(f"an image is (H, W, 3) with values 0 to 255, not {image.dtype} of shape {image.shape}")
        return np.ascontiguousarray(image.astype(np.uint8))
    # A path is short; asking the file system for the base64 text of an image raises.
    if len(item) < 1024 and Path(item).is_file():
        content = Path(item).read_bytes()
    else:
        try:
            content = base64.b64decode(item.rpartition("base64,")[2], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{item[:80]!r} is neither a file nor the base64 text of one") from error
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if decoded is None:
        raise ValueError("the file that was sent is no image that OpenCV can decode")
    return decoded


set_model(ServedDetector())
