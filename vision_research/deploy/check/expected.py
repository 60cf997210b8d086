"""What the detector in Python finds in the images that artifacts are checked on, computed once for all formats."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.check.average_precision import AveragePrecision, Truth, mean_average_precision
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.consumer import pack_masks, unpack_masks
from vision_research.deploy.check.reference import Prepared, PythonDetector


@dataclass(frozen=True)
class Answer:
    """What the detector in Python finds in one image.

    Attributes:
        prepared: the preprocessed image.
        detections: with masks packed to bits.
        image_size: height and width of the masks.
        seconds: duration, preprocessing included.
    """

    prepared: Prepared
    detections: Detections
    image_size: tuple[int, int]
    seconds: float

    def unpacked(self) -> Detections:
        """The detections, with masks unpacked to pixels."""
        packed = self.detections.masks
        if packed is None:
            return self.detections
        return self.detections._replace(masks=torch.from_numpy(unpack_masks(packed.numpy(), *self.image_size)))


class Expected:
    """Runs the detector in Python, and remembers its answers; annotations are given by the name of an image."""

    def __init__(self, reference: PythonDetector, truths: Mapping[str, Truth] | None = None) -> None:
        self.reference = reference
        self._truths = truths or {}
        self._answers: dict[tuple[Any, ...], Answer] = {}

    def answer(self, case: Case, from_image: bool = True) -> Answer:
        """Run the detector on an image, or return what it found before.

        Args:
            case: the image and its thresholds.
            from_image: whether boxes are in pixels of the image, or else in pixels of the tensor.
        """
        key = (case.name, case.score_thr, case.max_per_img, from_image)
        if key not in self._answers:
            self._answers[key] = self._ask(case, from_image)
        return self._answers[key]

    def settings(self, case: Case) -> dict[str, Any]:
        """The thresholds that an image is run with."""
        reference = self.reference
        return {
            "score_thr": reference.score_thr if case.score_thr is None else case.score_thr,
            "max_per_img": reference.max_per_img if case.max_per_img is None else case.max_per_img,
        }

    def average_precision(self, found: Sequence[tuple[Case, Detections, Detections]]) -> AveragePrecision | None:
        """MAP on the annotated images, from what the detector and an artifact find; None where none is annotated."""
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
