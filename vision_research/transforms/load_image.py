"""Loads an image, or leaves it out of the training if it is broken; a few broken files do not stop a run.

Importing this module registers `LoadImageOrSkip`.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

from vision_research.datasets.image_header import MAX_PIXELS, too_many_pixels

logger = logging.getLogger(__name__)


class UnusableImageError(ValueError):
    """An image that cannot be decoded, or that is too large to be; the message says why."""


# What is raised for a missing or broken file. Other errors (of the disk, too many open files, an unreachable server) do
# not concern a single image and stop the run.
_BROKEN_IMAGE = (FileNotFoundError, IsADirectoryError, PermissionError, UnusableImageError, cv2.error)


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImageFromFile):
    """Load an image; in training, return None for an image that cannot be decoded.

    MMEngine's data set then draws another image (`BaseDataset.__getitem__`), also below Repeat-, Concat- and
    ClassBalancedDataset, and before a cached mosaic uses the image. The paths of images that are left out are written
    to a file that all loader processes and ranks share.
    """

    def __init__(
        self,
        *args: Any,
        skip: bool = True,
        skipped_file: str = "",
        max_skipped: int = 10,
        max_pixels: int = MAX_PIXELS,
        **kwargs: Any,
    ) -> None:
        """Make the transform.

        Args:
            *args: arguments of `LoadImageFromFile`.
            skip: leave broken images out, for training; False raises, for validation.
            skipped_file: file that lists the images that are left out; its folder exists. Needed with `skip`.
            max_skipped: number of different images that may be left out before the run stops.
            max_pixels: pictures with more pixels are not decoded, and count as broken.
            **kwargs: arguments of `LoadImageFromFile`.

        Raises:
            ValueError: `skip` without `skipped_file`.
        """
        super().__init__(*args, **kwargs)
        if skip and not skipped_file:
            raise ValueError("LoadImageOrSkip: skip=True needs skipped_file, where the images left out are listed")
        self.skip = skip
        self.skipped_file = skipped_file
        self.max_skipped = max_skipped
        self.max_pixels = max_pixels

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load `results['img_path']`; return the sample, or None to leave it out.

        Args:
            results: a sample; gains `img` ((H, W, 3) uint8, BGR), `img_shape` and `ori_shape`.

        Raises:
            RuntimeError: an image cannot be read in validation, or too many in training.
        """
        path = str(results["img_path"])
        try:
            image = self._load(path)
        except _BROKEN_IMAGE as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            if isinstance(error, cv2.error):
                reason = "it cannot be decoded"
            if not self.skip:
                raise RuntimeError(f"the image {path} cannot be used: {reason}. Replace the file") from error
            self._leave_out(path, reason)
            return None
        return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}

    def _load(self, path: str) -> Any:
        """Read and decode an image as `LoadImageFromFile` does, after a look at its header."""
        content = fileio.get(path, backend_args=self.backend_args)
        if reason := too_many_pixels(content, self.max_pixels):
            raise UnusableImageError(reason)
        image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        if image is None:
            raise UnusableImageError("it cannot be decoded")
        return image.astype(np.float32) if self.to_float32 else image

    def _leave_out(self, path: str, reason: str) -> None:
        skipped, is_new = _append_once(Path(self.skipped_file), path)
        if is_new:
            logger.warning("left out of the training: %s (%s); %d so far", path, reason, len(skipped))
        if len(skipped) > self.max_skipped:
            raise RuntimeError(
                f"data.max_bad_images={self.max_skipped}: {len(skipped)} training images cannot be used: "
                f"{', '.join(skipped)}. Replace the files, or type data.max_bad_images={2 * len(skipped)} to train "
                "without them"
            )

    def __repr__(self) -> str:
        return (
            f"{super().__repr__()[:-1]}, skip={self.skip}, skipped_file={self.skipped_file!r}, "
            f"max_skipped={self.max_skipped})"
        )


def _append_once(file: Path, line: str) -> tuple[list[str], bool]:
    """Append a line unless the file contains it, under a lock; return all lines, and whether it is new."""
    line = line.replace("\n", " ")
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    with os.fdopen(handle, "r+", encoding="utf-8", errors="surrogateescape") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        lines = stream.read().splitlines()
        if line in lines:
            return lines, False
        stream.write(line + "\n")
        stream.flush()
        return [*lines, line], True
