"""The images that an artifact is checked on: validation images, one with no detection and one with hundreds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_research.deploy.check.average_precision import Truth, truth_of
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.errors import ExportError

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]

# The crowded image has at least this many detections, or is run with the last threshold that was tried.
_MANY = 200
_MAX_PER_IMG = 500
_THRESHOLD_STEPS = 8


@dataclass(frozen=True)
class Case:
    """One image and the thresholds it is run with, on both sides.

    Attributes:
        name: reported with a failure.
        image: (H, W, 3) uint8 BGR.
        score_thr: threshold for this image; None is the detector's own.
        max_per_img: limit for this image; None is the detector's own.
    """

    name: str
    image: Image
    score_thr: float | None = None
    max_per_img: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is run with the detector's own thresholds."""
        return self.score_thr is None and self.max_per_img is None

    def mirrored(self) -> Case:
        """The same case with its image mirrored left to right."""
        return replace(self, name=f"{self.name}, mirrored", image=np.ascontiguousarray(self.image[:, ::-1]))


def load_images(dataset: Any, pipeline: Sequence[Mapping[str, Any]], count: int) -> list[tuple[str, Image]]:
    """Load names and (H, W, 3) uint8 BGR images spread evenly over a data set, with the pipeline's own transform.

    Args:
        dataset: built by MMDetection.
        pipeline: the test pipeline; its first step loads the image.
        count: how many; a smaller data set is completed with mirrored copies.

    Raises:
        ExportError: the data set is empty.
    """
    from mmdet.registry import TRANSFORMS

    if len(dataset) == 0:
        raise ExportError("The validation data set is empty; the export needs images to be checked on.")
    load = TRANSFORMS.build(dict(pipeline[0]))
    images = [(_name(info), load(info)["img"]) for info in _spread(dataset, count)]
    mirrored = [(f"{name}, mirrored", np.ascontiguousarray(image[:, ::-1])) for name, image in images]
    flipped = [(f"{name}, upside down", np.ascontiguousarray(image[::-1])) for name, image in images]
    both = [(f"{name}, turned", np.ascontiguousarray(image[::-1, ::-1])) for name, image in images]
    return (images + mirrored + flipped + both)[:count]


def load_truths(dataset: Any, count: int) -> dict[str, Truth]:
    """Read the annotations of the images that `load_images` loads, by name; empty where no image is annotated.

    Args:
        dataset: built by MMDetection.
        count: how many images.
    """
    found = {_name(info): truth_of(info.get("instances") or []) for info in _spread(dataset, count)}
    return found if any(len(truth.labels) for truth in found.values()) else {}


def _spread(dataset: Any, count: int) -> list[Any]:
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int))
    return [dataset.get_data_info(index) for index in indices.tolist()]


def _name(info: Mapping[str, Any]) -> str:
    return str(info.get("img_path", f"image {info.get('img_id')}"))


def build_cases(images: Sequence[tuple[str, Image]], reference: PythonDetector) -> list[Case]:
    """Make the cases: the images, one turned by 90 degrees, a small one, noise, a black one, and a crowded one.

    Args:
        images: names and (H, W, 3) uint8 BGR images that the artifact was not traced on.
        reference: finds the thresholds with which the black image has no detection, and the crowded one hundreds.
    """
    cases = [Case(name, image) for name, image in images]
    first = images[0][1]
    cases.append(Case(f"{images[0][0]}, turned by 90 degrees", np.ascontiguousarray(np.rot90(first))))
    cases.append(Case(f"{images[0][0]}, a third of its size", _shrink(first)))
    cases.append(Case("noise", np.random.default_rng(0).integers(0, 256, first.shape, dtype=np.uint8)))
    cases += _black_cases(np.zeros_like(first), reference)
    cases.append(_crowd_case([image for _, image in images], reference))
    return cases


def _shrink(image: Image) -> Image:
    import mmcv

    shrunk: Image = mmcv.imresize(image, (max(image.shape[1] // 3, 1), max(image.shape[0] // 3, 1)))
    return shrunk


def _black_cases(black: Image, reference: PythonDetector) -> list[Case]:
    """The black image; and where the detector finds something in it, once more with a threshold above that."""
    found = reference.predict(reference.prepare(black))
    cases = [Case("an all-black image", black)]
    if len(found.scores):
        nothing = float(found.scores.max()) + 0.01
        cases.append(Case(f"an all-black image with score_thr={nothing:.4f}", black, score_thr=nothing))
    return cases


def _crowd_case(images: Sequence[Image], reference: PythonDetector) -> Case:
    """A collage, with a threshold that is lowered until the detector finds hundreds of objects in it."""
    image = _collage(images)
    prepared = reference.prepare(image)
    limit = reference.max_per_img
    many = None if limit is None or limit < 0 else max(limit, _MAX_PER_IMG)
    if many is not None and reference.num_candidates is not None:
        many = min(many, reference.num_candidates)
    score_thr = reference.score_thr
    for _ in range(_THRESHOLD_STEPS):
        with reference.thresholds(score_thr, many):
            count = len(reference.predict(prepared).scores)
        if count >= _MANY or score_thr == 0.0:
            break
        score_thr = score_thr / 4 if score_thr > 1e-6 else 0.0
    logger.info("The crowded image has %d detections with score_thr=%.3g.", count, score_thr)
    return Case(f"a collage with score_thr={score_thr:.3g}", image, score_thr, many)


def _collage(images: Sequence[Image], side: int = 3) -> Image:
    """Images side by side, shrunk to the size of one."""
    import mmcv

    height, width = (max(length // side, 1) for length in images[0].shape[:2])
    tiles = [mmcv.imresize(images[index % len(images)], (width, height)) for index in range(side * side)]
    rows = [np.concatenate(tiles[row * side : (row + 1) * side], axis=1) for row in range(side)]
    return np.ascontiguousarray(np.concatenate(rows, axis=0))
