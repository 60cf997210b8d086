"""Checks the image files of a data set: which are missing, and whether a few of them can be decoded."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vision_research.datasets.image_header import MAX_PIXELS, too_many_pixels
from vision_research.datasets.report import find, show

_MAX_LISTED = 8
_MAX_SEARCHED = 1000
# Reading the size of every image of COCO takes minutes on a network disk; a thousand also distinguish two copies.
_MAX_SIZES = 1000


def missing_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of missing files, in the order given.

    Every folder is listed once: on a network disk that takes much less time than a request for each of 100,000 images.

    Args:
        folder: folder that the names are relative to.
        names: relative (or absolute) file names.
    """
    listings: dict[str, frozenset[str]] = {}
    missing = []
    for name in names:
        parent, base = os.path.split(name)  # Path costs ten times as much here
        if parent not in listings:
            listings[parent] = _names_in(folder / parent)
        if base not in listings[parent]:
            missing.append(name)
    return missing


def missing_path_problem(key: str, path: Path, kind: str, root: Path | None = None) -> str:
    """Return the text for a missing file or folder.

    It names the nearest folder that exists, its content, and what to type.

    Args:
        key: the key that was typed, for example `data.train_ann`.
        path: the absolute path.
        kind: `file` or `folder`.
        root: folder that the typed value is relative to.
    """
    typed = f"{key}={as_typed(path, root)}"
    if path.exists():
        return f"{typed}: {path} is no {kind}. Type {key}=<the {kind}>"
    nearest = next(parent for parent in path.parents if parent.is_dir())
    found = sorted(show(name) for name in _names_in(nearest) if not name.startswith("."))
    wrong, *rest = path.relative_to(nearest).parts
    close = difflib.get_close_matches(wrong, found, n=1)
    remedy = as_typed(nearest.joinpath(close[0], *rest), root) if close else f"<the {kind}>"
    listed = ", ".join(found[:_MAX_LISTED]) + (", ..." if len(found) > _MAX_LISTED else "")
    return f"{typed}: there is no {kind} {path}. Found in {nearest}: {listed or 'nothing'}. Type {key}={remedy}"


def missing_images_problem(
    key: str, folder: Path, names: Sequence[str], ann_file: Path, root: Path | None = None
) -> list[str]:
    """Check that the images of an annotation file are there.

    Args:
        key: the key of the folder, for example `data.img_prefix`.
        folder: folder of the images.
        names: file names relative to it.
        ann_file: file that lists them.
        root: folder that the typed value is relative to.

    Returns:
        No text, or one that counts and names the missing images, and says where they are if they were found.
    """
    if not names:
        return []
    if not folder.is_dir():
        return [missing_path_problem(key, folder, "folder", root)]
    missing = missing_files(folder, names)
    if not missing:
        return []
    elsewhere = _locate(root or folder.parent, missing[0])
    hint = f"{show(missing[0])} lies in {elsewhere}. " if elsewhere else ""
    remedy = as_typed(elsewhere, root) if elsewhere else "<the folder>"
    return [
        f"{key}={as_typed(folder, root)}: {len(missing)} of {len(names)} images in {ann_file} are not there "
        f"({find(map(show, missing)).listed()}). {hint}Type {key}={remedy}"
    ]


def as_typed(path: Path, root: Path | None) -> str:
    """Return a path as a person types it.

    Args:
        path: the path.
        root: folder that typed paths are relative to; paths outside of it are typed in full.
    """
    return str(path.relative_to(root) if root is not None and path.is_relative_to(root) else path)


def _locate(root: Path, name: str) -> Path | None:
    """Find the folder that contains `name`: `root`, or a folder at most two levels below it."""
    if "\0" in name:
        return None
    folders = itertools.chain([root], _folders_in(root), *(_folders_in(folder) for folder in _folders_in(root)))
    return next((folder for folder in itertools.islice(folders, _MAX_SEARCHED) if (folder / name).is_file()), None)


def _folders_in(folder: Path) -> list[Path]:
    return sorted(itertools.islice((path for path in folder.iterdir() if path.is_dir()), _MAX_SEARCHED))


def sample_problems(key: str, paths: Sequence[Path], num_samples: int = 8, max_pixels: int = MAX_PIXELS) -> list[str]:
    """Decode a few images, spread evenly, as training will.

    Args:
        key: the key to name in the text, for example `data.root`.
        paths: images that exist.
        num_samples: how many of them to decode at most.
        max_pixels: those with more pixels are not decoded.

    Returns:
        At most one text, which names the images that cannot be decoded.
    """
    broken = find(
        f"{path} ({reason})" for path in _spread(paths, num_samples) if (reason := _why_undecodable(path, max_pixels))
    )
    if not broken:
        return []
    return [
        f"{key}: {broken.count} of {min(num_samples, len(paths))} sampled images cannot be decoded: {broken.listed()}. "
        "Replace these files, or take them out of the annotations"
    ]


def _spread(items: Sequence[Path], count: int) -> list[Path]:
    """Choose at most `count` items at even steps, beginning with the first."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def sizes_digest(folder: Path, names: Iterable[str]) -> str:
    """Return a digest of all names and of the sizes of up to 1000 of the files, to compare the images of two machines.

    Args:
        folder: folder of the images.
        names: file names relative to it, in any order.
    """
    ordered = sorted(names)
    digest = hashlib.sha256("\n".join(ordered).encode("utf-8", "backslashreplace"))
    for path in _spread([folder / name for name in ordered], _MAX_SIZES):
        digest.update(str(path.stat().st_size if path.is_file() else -1).encode())
    return digest.hexdigest()


def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except (OSError, ValueError):
        # ValueError: a name with a zero byte or a lone surrogate, which no file system has.
        return frozenset()


def _why_undecodable(path: Path, max_pixels: int) -> str:
    # Importing cv2 takes 0.3 s, which commands that check no image save.
    import cv2
    import numpy as np

    try:
        data = path.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    if not data:
        return "empty file"
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data:
        # OpenCV 4 decodes a truncated JPEG and fills the rest with grey; OpenCV 5 refuses it.
        return "truncated JPEG"
    if reason := too_many_pixels(data, max_pixels):
        return reason
    if cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None:
        return "Git LFS pointer; type git lfs pull" if data.startswith(b"version https://git-lfs") else "no image"
    return ""
