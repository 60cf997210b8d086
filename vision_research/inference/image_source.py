"""Yields the images of a folder (on disk or in S3), a file or a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_research.config.errors import ConfigError
from vision_research.datasets.image_folder import IMAGE_SUFFIXES, list_images
from vision_research.datasets.image_header import MAX_PIXELS, too_many_pixels
from vision_research.storage.s3.path import as_path

# Threads help because OpenCV releases the interpreter lock while it decodes.
_NUM_AHEAD = 4

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(read: Callable[[Item], Content], items: Iterable[Item]) -> Iterator[Content]:
    """Yield what a function reads for each item, in the order of the items.

    Args:
        read: called in threads, for a few items ahead of the one that is yielded.
        items: its arguments.
    """
    coming = iter(items)
    with ThreadPoolExecutor(_NUM_AHEAD) as pool:
        waiting = [pool.submit(read, item) for item in islice(coming, _NUM_AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(read, item) for item in islice(coming, 1)]


VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})


@dataclass(frozen=True)
class Picture:
    """An image, or the reason why it cannot be read.

    Attributes:
        name: path of the file below the folder; for a frame, name of the video and number of the frame.
        image: (H, W, 3) uint8 BGR; None if it cannot be read.
        problem: why not.
    """

    name: str
    image: NDArray[np.uint8] | None
    problem: str = ""


@dataclass(frozen=True)
class ImageSource:
    """The images to predict on.

    Attributes:
        root: folder that names are relative to, or the file of the video.
        files: images; empty for a video.
        max_pixels: images with more pixels are not decoded.
    """

    root: Path
    files: tuple[Path, ...] = ()
    max_pixels: int = MAX_PIXELS

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return not self.files

    def __len__(self) -> int:
        """Return the number of images, or the number of frames in the header of the video."""
        if not self.is_video:
            return len(self.files)
        return max(int(cv2.VideoCapture(str(self.root)).get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Yield the images from number `start` on, including those that cannot be read."""
        return self._frames(start) if self.is_video else read_ahead(self._read, self.files[start:])

    def _read(self, path: Path) -> Picture:
        name = path.name if path == self.root else str(path.relative_to(self.root))
        try:
            content = path.read_bytes()
        except (FileNotFoundError, PermissionError) as error:
            return Picture(name, None, error.strerror or str(error))
        # As the transform that loads images in training does: in colour, rotated as EXIF says.
        if reason := too_many_pixels(content, self.max_pixels):
            return Picture(name, None, reason)
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
        except cv2.error:
            image = None  # OpenCV has limits too, as of 2^20 pixels a side
        return (
            Picture(name, None, "it cannot be decoded") if image is None else Picture(name, np.asarray(image, np.uint8))
        )

    def _frames(self, start: int) -> Iterator[Picture]:
        capture = cv2.VideoCapture(str(self.root))
        number = 0
        # Frames are skipped one by one, because seeking goes to a key frame, which may be another one.
        while number < start and capture.grab():
            number += 1
        while True:
            read, image = capture.read()
            if not read:
                return
            number += 1
            yield Picture(f"{self.root.name}/frame_{number:06d}", np.asarray(image, np.uint8))


def find_images(typed: str | None, max_pixels: int | None = None) -> ImageSource:
    """Find the images that the option `images` names.

    Args:
        typed: the option.
        max_pixels: `data.max_pixels`; None is its default.

    Raises:
        ConfigError: there is no such file or folder, or no image in it, or a video that OpenCV cannot open.
    """
    if typed is None:
        raise ConfigError("images is not set. Type images=FOLDER, images=FILE or images=s3://BUCKET/FOLDER")
    path = as_path(typed)
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise ConfigError(f"images={typed}: no image is in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return ImageSource(path, tuple(files), max_pixels or MAX_PIXELS)
    if not path.is_file():
        raise ConfigError(f"images={typed}: there is no such file or folder. Type images=FOLDER")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return ImageSource(path, (path,), max_pixels or MAX_PIXELS)
    if not cv2.VideoCapture(str(path)).isOpened():
        raise ConfigError(f"images={typed}: OpenCV cannot open this video. Type images=FOLDER with its frames")
    return ImageSource(path)
