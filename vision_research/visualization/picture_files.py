"""Writes pictures and contact sheets of them as JPEG files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_research.visualization.sheet import contact_sheet

# Pictures on a sheet: at 320 pixels each, about as many as fit on a screen.
PICTURES_PER_SHEET = 36
_WIDE_PICTURE_PX = 1600


def write_pictures(folder: Path, pictures: Sequence[tuple[str, NDArray[np.uint8]]], one_column: bool = False) -> None:
    """Write a file for each picture, and `sheet.jpg` with all of them, or several sheets `sheet_1.jpg`, ...

    Args:
        folder: where to write; made when missing.
        pictures: name without suffix and (H, W, 3) uint8 BGR image of each. A number is added to repeated names.
        one_column: whether the sheets have one column of wide pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, image) in zip(unique_names(name for name, _ in pictures), pictures, strict=True):
        cv2.imwrite(str(folder / f"{name}.jpg"), image)
    for first in range(0, len(pictures), PICTURES_PER_SHEET):
        page = pictures[first : first + PICTURES_PER_SHEET]
        number = f"_{first // PICTURES_PER_SHEET + 1}" if len(pictures) > PICTURES_PER_SHEET else ""
        sheet = contact_sheet(page, 1, _WIDE_PICTURE_PX) if one_column else contact_sheet(page)
        cv2.imwrite(str(folder / f"sheet{number}.jpg"), sheet)


def unique_names(names: Iterable[str]) -> Iterator[str]:
    """Yield each name, with `-2`, `-3`, ... added to repeated ones: images in different folders may share a name."""
    taken: set[str] = set()
    for name in names:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        yield unique
