"""Loads an image, or leaves it out of the training: one broken file among a million does not stop a run, many do.

Importing this module registers `LoadImageOrSkip`.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import cv2
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS

logger = logging.getLogger(__name__)

# What a missing or broken file raises in LoadImageFromFile: AssertionError is its own "failed to load image". Others (a
# disk error, too many open files, a server away) are no fault of one image and stop the run.
_BROKEN_IMAGE = (FileNotFoundError, IsADirectoryError, PermissionError, AssertionError, cv2.error)


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImageFromFile):
    """Load an image; in training, let the data set draw another in place of one that cannot be decoded.

    A transform that returns None makes MMEngine's data set draw again (`BaseDataset.__getitem__`), also below Repeat-,
    Concat- and ClassBalancedDataset, and before a cached mosaic has seen the image. What was left out is written to one
    file that all loader processes and ranks share, and counted there.
    """

    def __init__(
        self, *args: Any, skip: bool = True, skipped_file: str = "", max_skipped: int = 10, **kwargs: Any
    ) -> None:
        """Make the transform.

        Args:
            *args: of `LoadImageFromFile`.
            skip: leave broken images out (training); False raises (validation: the score would be of other images).
            skipped_file: file that gets one line an image left out; its folder exists. Needed with `skip`.
            max_skipped: different images that may be left out in one run before it stops.
            **kwargs: of `LoadImageFromFile`.

        Raises:
            ValueError: `skip` without `skipped_file`.
        """
        super().__init__(*args, **kwargs)
        if skip and not skipped_file:
            raise ValueError("LoadImageOrSkip: skip=True needs skipped_file, where the images left out are listed")
        self.skip = skip
        self.skipped_file = skipped_file
        self.max_skipped = max_skipped

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load `results['img_path']`.

        Args:
            results: a sample; gains `img` ((H, W, 3) uint8, BGR), `img_shape` and `ori_shape`.

        Returns:
            The sample, or None to leave it out.

        Raises:
            RuntimeError: the image cannot be read in validation, or too many in training.
        """
        path = str(results["img_path"])
        try:
            loaded: dict[str, Any] | None = super().transform(results)
        except _BROKEN_IMAGE as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be decoded"
            if not self.skip:
                raise RuntimeError(f"the image {path} cannot be used: {reason}. Replace the file") from error
            self._leave_out(path, reason)
            return None
        return loaded

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
    """Append a line that is not there yet; processes that do so at the same time take turns.

    Args:
        file: made when missing.
        line: without line break; one inside of it is written as a blank.

    Returns:
        All lines of the file, and whether `line` is new.
    """
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
