"""What the detector in Python answers to the images that artifacts are checked on; asked once, for every format."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision_research.deploy.average_precision import AveragePrecision, Truth, mean_average_precision
from vision_research.deploy.cases import Case
from vision_research.deploy.detections import Detections
from vision_research.deploy.mask_bits import pack_masks, unpack_masks
from vision_research.deploy.reference import Prepared, PythonDetector


@dataclass(frozen=True)
class Answer:
    """One image, answered.

    Attributes:
        prepared: as the network takes it.
        detections: masks in bits.
        image_size: height and width of the masks.
        seconds: that it took, preprocessing included.
    """

    prepared: Prepared
    detections: Detections
    image_size: tuple[int, int]
    seconds: float

    def unpacked(self) -> Detections:
        """The detections, masks in pixels."""
        packed = self.detections.masks
        if packed is None:
            return self.detections
        return self.detections._replace(masks=torch.from_numpy(unpack_masks(packed.numpy(), *self.image_size)))


class Expected:
    """The detector in Python on images that are asked for again and again.

    Args:
        reference: the detector.
        truths: by the name of an image, what is annotated on it.
    """

    def __init__(self, reference: PythonDetector, truths: Mapping[str, Truth] | None = None) -> None:
        self.reference = reference
        self._truths = truths or {}
        self._answers: dict[tuple[Any, ...], Answer] = {}

    def answer(self, case: Case, from_image: bool = True) -> Answer:
        """Answer an image.

        Args:
            case: the image and its thresholds.
            from_image: whether boxes are in pixels of the image, or in those of the tensor.
        """
        key = (case.name, case.score_thr, case.max_per_img, from_image)
        if key not in self._answers:
            self._answers[key] = self._ask(case, from_image)
        return self._answers[key]

    def settings(self, case: Case) -> dict[str, Any]:
        """The thresholds that hold for an image."""
        reference = self.reference
        return {
            "score_thr": reference.score_thr if case.score_thr is None else case.score_thr,
            "max_per_img": reference.max_per_img if case.max_per_img is None else case.max_per_img,
        }

    def average_precision(self, found: Sequence[tuple[Case, Detections, Detections]]) -> AveragePrecision | None:
        """MAP of the detector and of an artifact on the annotated images among those given; None where none is.

        Args:
            found: images, what the detector finds in them, and what the artifact finds.
        """
        known = [(case, python, artifact) for case, python, artifact in found if case.name in self._truths]
        truths = [self._truths[case.name] for case, *_ in known]
        if not any(len(truth.labels) for truth in truths):
            return None
        python = mean_average_precision(truths, [one for _, one, _ in known])
        artifact = mean_average_precision(truths, [one for *_, one in known])
        return AveragePrecision(len(known), python, artifact)

    def _ask(self, case: Case, from_image: bool) -> Answer:
        started = time.perf_counter()
        prepared = self.reference.prepare(case.image)
        if not from_image:
            prepared = self.reference.as_tensor(prepared)
        with self.reference.thresholds(case.score_thr, case.max_per_img):
            found = self.reference.predict(prepared)
        seconds = time.perf_counter() - started
        if found.masks is not None:
            found = found._replace(masks=torch.from_numpy(pack_masks(found.masks.numpy())))
        return Answer(prepared, found, prepared.image_size, seconds)
