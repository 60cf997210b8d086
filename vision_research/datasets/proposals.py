"""Files of proposals: the boxes that an RPN has found in every image of a split.

A file is a NumPy archive (`.npz`) of plain arrays, which cannot contain code: `image_ids` (N,) int64, `names` (N,) file
names without folders, `counts` (N,) int64, and for all images one after the other `boxes` (P, 4) float32, xyxy, pixels
of the image, and `scores` (P,) float32, best first within an image.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from vision_research.work_dir import write_atomic

_ARRAYS = ("image_ids", "names", "counts", "boxes", "scores")
Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proposals:
    """The proposals of one image.

    Attributes:
        name: name of the image file, without folders.
        boxes: (K, 4) float32, xyxy in pixels.
        scores: (K,) float32, best first.
    """

    name: str
    boxes: Boxes
    scores: Boxes


def write_proposals(path: Path, proposals: Mapping[int, Proposals]) -> None:
    """Write a file of proposals in one step.

    Args:
        path: the file; its folder exists.
        proposals: proposals by the COCO id of the image.
    """
    content = io.BytesIO()
    np.savez(
        content,
        image_ids=np.array(list(proposals), np.int64),
        names=np.array([one.name for one in proposals.values()], np.str_),
        counts=np.array([len(one.boxes) for one in proposals.values()], np.int64),
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(one.boxes for one in proposals.values())]),
        scores=np.concatenate([np.zeros(0, np.float32), *(one.scores for one in proposals.values())]),
    )
    write_atomic(path, content.getvalue())


def read_proposals(content: bytes) -> dict[int, Proposals]:
    """Return the proposals in a file's content, by the COCO id of the image; `ValueError` if there are none."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            ids, names, counts, boxes, scores = (file[name] for name in _ARRAYS)
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"no file of proposals ({type(error).__name__}: {error})") from error
    if not len(ids) == len(names) == len(counts) or boxes.shape != (counts.sum(), 4) or scores.shape != (counts.sum(),):
        raise ValueError("no file of proposals (its arrays do not belong together)")
    if len(ids) == 0:
        return {}
    ends = np.cumsum(counts)[:-1]
    each = zip(names.tolist(), np.split(boxes, ends), np.split(scores, ends), strict=True)
    return {number: Proposals(*one) for number, one in zip(ids.tolist(), each, strict=True)}


def proposal_file_problem(key: str, file: Any, ann_file: Any) -> str | None:
    """Check a file of proposals; return the problem as a text, or None.

    Args:
        key: the key that names the file.
        file: its path, on this machine or in S3.
        ann_file: the COCO file of the same images.
    """
    make = "Make it: python -m vision_research.test run=RUN_OF_AN_RPN data.val_ann=FILE proposals=FILE.npz"
    if not file.is_file():
        return f"{key}={file}: there is no such file. {make}"
    try:
        found = read_proposals(file.read_bytes())
    except ValueError as error:
        return f"{key}={file}: {error}. {make}"
    images = {image["id"]: image["file_name"] for image in json.loads(ann_file.read_text(encoding="utf-8"))["images"]}
    # Names are compared as well, because ids often begin with 1 in every split.
    present = {number: found[number].name for number in images if number in found}
    if missing := [name for number, name in images.items() if present.get(number) != name.rpartition("/")[2]]:
        return (
            f"{key}={file}: {len(missing)} of the {len(images)} images of {ann_file} are not in it "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}). {make}"
        )
    return None
