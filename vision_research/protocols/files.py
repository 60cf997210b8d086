"""The files of a data set, for code that copies or checks all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, and the images that it lists.

    Attributes:
        key: config key of the file, for messages (`data.train_ann`).
        path: relative to `data.root`.
        folder: of the images, relative to `data.root`.
        images: takes the content of the file, returns the names of the images in that folder; None if it lists none.
            It raises ValueError, KeyError or TypeError for a file of another format.
    """

    key: str
    path: str
    folder: str = ""
    images: Callable[[bytes], Iterable[str]] | None = None
