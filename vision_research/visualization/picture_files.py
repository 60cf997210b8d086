"""Writes pictures as JPEG files, and contact sheets of them: pictures side by side, each with a caption."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Pictures on a sheet: at 320 pixels each, about as many as fit on a screen.
PICTURES_PER_SHEET = 36
_WIDE_PICTURE_PX = 1600
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPTION = 22
_GAP = 6
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


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


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[np.uint8]]], columns: int | None = None, side: int = 320
) -> NDArray[np.uint8]:
    """Lay pictures out on a white sheet, row by row.

    Args:
        pictures: caption and (H, W, 3) uint8 BGR image of each, at least one; images are only reduced, not enlarged.
        columns: pictures in a row; None makes the sheet about square.
        side: largest height and width of a picture on the sheet, pixels.

    Returns:
        The sheet, (H, W, 3) uint8 BGR.
    """
    columns = min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures))
    tiles = [_tile(caption, _fitted(image, side)) for caption, image in pictures]
    width = max(tile.shape[1] for tile in tiles)
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    sheet = np.vstack([_row(row, columns, width) for row in rows])
    return np.asarray(cv2.copyMakeBorder(sheet, _GAP, 0, _GAP, 0, cv2.BORDER_CONSTANT, value=_WHITE), np.uint8)


def _row(tiles: Sequence[NDArray[np.uint8]], columns: int, width: int) -> NDArray[np.uint8]:
    row = np.full((max(tile.shape[0] for tile in tiles), columns * width, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        row[: tile.shape[0], place * width : place * width + tile.shape[1]] = tile
    return row


def _tile(caption: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add a caption below an image, shortened to its width, and a gap to the right and below."""
    while len(caption) > 1 and cv2.getTextSize(caption, _FONT, 0.42, 1)[0][0] > image.shape[1]:
        caption = caption[:-1]
    tile = cv2.copyMakeBorder(image, 0, _CAPTION + _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=_WHITE)
    return np.asarray(
        cv2.putText(tile, caption, (0, image.shape[0] + 15), _FONT, 0.42, _BLACK, 1, cv2.LINE_AA), np.uint8
    )


def _fitted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    scale = min(side / max(image.shape[:2]), 1.0)
    height, width = (max(round(edge * scale), 1) for edge in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
