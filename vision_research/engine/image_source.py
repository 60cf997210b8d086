"""Yields the images of a folder, a file, a video or a folder in S3, decoded ahead of their use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_research.config.errors import ConfigError
from vision_research.datasets.image_folder import IMAGE_SUFFIXES, list_images
from vision_research.storage.s3.path import as_path

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})
_AHEAD = 4


@dataclass(frozen=True)
class Picture:
    """An image, or why it is none.

    Attributes:
        name: of the file below the folder; of a frame, the video's and its number.
        image: (H, W, 3) uint8 BGR; None where it cannot be decoded.
        problem: why not.
    """

    name: str
    image: NDArray[np.uint8] | None
    problem: str = ""


@dataclass(frozen=True)
class ImageSource:
    """What to predict.

    Attributes:
        root: folder that names are relative to; of a video, its file.
        files: images; empty for a video.
    """

    root: Path
    files: tuple[Path, ...] = ()

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return not self.files

    def __len__(self) -> int:
        """Count the images; of a video, the frames as its header tells them."""
        if not self.is_video:
            return len(self.files)
        return max(int(cv2.VideoCapture(str(self.root)).get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """Yield the images from a number on; those that cannot be decoded as well."""
        yield from self._frames(start) if self.is_video else self._images(self.files[start:])

    def _images(self, files: Sequence[Path]) -> Iterator[Picture]:
        coming = iter(files)
        with ThreadPoolExecutor(_AHEAD) as pool:
            waiting = [pool.submit(self._read, path) for path in islice(coming, _AHEAD)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(self._read, path) for path in islice(coming, 1)]

    def _read(self, path: Path) -> Picture:
        name = path.name if path == self.root else str(path.relative_to(self.root))
        try:
            data = np.frombuffer(path.read_bytes(), np.uint8)
        except (FileNotFoundError, PermissionError) as error:
            return Picture(name, None, error.strerror or str(error))
        # As the transform that loads images in training: in colour, turned as EXIF says.
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        return (
            Picture(name, None, "it cannot be decoded") if image is None else Picture(name, np.asarray(image, np.uint8))
        )

    def _frames(self, start: int) -> Iterator[Picture]:
        capture = cv2.VideoCapture(str(self.root))
        number = 0
        # Skipped one by one: seeking lands on a key frame, which need not be the one that was asked for.
        while number < start and capture.grab():
            number += 1
        while True:
            read, image = capture.read()
            if not read:
                return
            number += 1
            yield Picture(f"{self.root.name}/frame_{number:06d}", np.asarray(image, np.uint8))


def find_images(typed: str | None) -> ImageSource:
    """Find what was typed as `images`.

    Raises:
        ConfigError: nothing is there, or nothing in it is an image or a video that opens.
    """
    if typed is None:
        raise ConfigError("images is not set. Type images=FOLDER, images=FILE or images=s3://BUCKET/FOLDER")
    path = as_path(typed)
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise ConfigError(f"images={typed}: no image is in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return ImageSource(path, tuple(files))
    if not path.is_file():
        raise ConfigError(f"images={typed}: there is no such file or folder. Type images=FOLDER")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return ImageSource(path, (path,))
    if not cv2.VideoCapture(str(path)).isOpened():
        raise ConfigError(f"images={typed}: OpenCV cannot open this video. Type images=FOLDER with its frames")
    return ImageSource(path)
