"""The code of an exported detector's MLflow model: MLflow copies this file into the model, and runs it to serve it.

It needs mlflow, numpy, OpenCV (to decode images) and torch, and imports nothing of this package.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# OpenCV reads it when it is loaded. A request of 100 kB can hold a picture that takes gigabytes to decode.
MAX_PIXELS = int(os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from mlflow.models import set_model  # noqa: E402
from mlflow.pyfunc.model import PythonModel  # noqa: E402

# Images at once, for a model that accepts any number of them: a request may contain more than the memory can hold.
_MAX_BATCH = 16


class ServedDetector(PythonModel):
    """Detects objects in images: (H, W, 3) uint8 BGR arrays or nested lists, paths, or base64 texts of image files."""

    def load_context(self, context: Any) -> None:
        """Load the TorchScript file, the names of its classes, and its batch size."""
        import torch

        path = context.artifacts["model"]
        self._module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
        manifest = json.loads(Path(context.artifacts["manifest"]).read_text(encoding="utf-8"))
        self._classes, self._batch = manifest["classes"], manifest.get("batch", 1)

    # MLflow derives the signature from the type hints. The context of its base class is optional.
    def predict(  # type: ignore[override]
        self, model_input: list[Any], params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Detect the objects in images.

        Args:
            model_input: the images.
            params: unused; part of MLflow's interface.

        Returns:
            For each image `boxes` (xyxy, pixels of the image), `scores` (in descending order), `labels` and `classes`
            (names). A detector of masks adds `masks` in COCO's format: `size` (height, width), and `counts`, the
            lengths of alternating runs of pixels outside and inside the object, in column-major order.
        """
        images = [read_image(item) for item in model_input]
        groups = consecutive_of_one_size(images, self._batch or _MAX_BATCH)
        return [self._describe(*outputs) for group in groups for outputs in self._detect(group)]

    def _detect(self, images: list[Any]) -> list[list[Any]]:
        """Run the module on images of one size; return boxes, scores, labels, and masks if it has them, of each."""
        import torch

        with torch.no_grad():
            if self._batch == 1:
                return [list(self._module(torch.from_numpy(images[0])))]
            # A model with a fixed batch size does not accept fewer images.
            filled = images + images[-1:] * ((self._batch or 0) - len(images))
            *padded, counts = self._module(torch.from_numpy(np.stack(filled)))
        found = enumerate(counts[: len(images)].tolist())
        return [[output[place, :count] for output in padded] for place, count in found]

    def _describe(self, boxes: Any, scores: Any, labels: Any, masks: Any = None) -> dict[str, Any]:
        names = [self._classes[label] for label in labels.tolist()]
        found = {"boxes": boxes.tolist(), "scores": scores.tolist(), "labels": labels.tolist(), "classes": names}
        return found if masks is None else found | {"masks": [run_lengths(mask) for mask in masks.numpy()]}


def consecutive_of_one_size(images: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Split images into groups of consecutive images of the same size.

    Args:
        images: (H, W, 3) arrays.
        most: largest number of images in a group.
    """
    group: list[Any] = []
    for image in images:
        if group and (len(group) == most or image.shape != group[0].shape):
            yield group
            group = []
        group.append(image)
    if group:
        yield group


def run_lengths(mask: Any) -> dict[str, list[int]]:
    """Encode an (H, W) bool mask as COCO's uncompressed run lengths, which `pycocotools` and JSON both accept."""
    flat = mask.ravel(order="F")
    ends = [*(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    # The first run is outside the object, and may be empty.
    starts = [0, 0, *ends[:-1]] if flat[0] else [0, *ends[:-1]]
    ends = [0, *ends] if flat[0] else ends
    return {"size": list(mask.shape), "counts": [end - start for start, end in zip(starts, ends, strict=True)]}


def read_image(item: Any) -> Any:
    """Convert what a caller sent into an (H, W, 3) uint8 BGR array; `ValueError` if it is not an image."""
    if not isinstance(item, str):
        image = np.asarray(item)
        if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.min() < 0 or image.max() > 255:
            raise ValueError(f"an image is (H, W, 3) with values 0 to 255, not {image.dtype} of shape {image.shape}")
        return np.ascontiguousarray(image.astype(np.uint8))
    # A path is short. For a long base64 text, `is_file` would raise.
    if len(item) < 1024 and Path(item).is_file():
        content = Path(item).read_bytes()
    else:
        try:
            content = base64.b64decode(item.rpartition("base64,")[2], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{item[:80]!r} is neither a file nor the base64 text of one") from error
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error as error:
        raise ValueError(f"the image that was sent has more than {MAX_PIXELS} pixels, or is broken") from error
    if decoded is None:
        raise ValueError("the file that was sent is no image that OpenCV can decode")
    return decoded


set_model(ServedDetector())
