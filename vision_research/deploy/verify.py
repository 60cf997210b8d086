"""Holds a saved artifact against the detector in Python, in a process that has torch alone."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from vision_research.deploy.cases import Case
from vision_research.deploy.consumer import serve
from vision_research.deploy.detections import Detections, Difference, Tolerance, compare
from vision_research.deploy.errors import ExportError
from vision_research.deploy.mask_bits import pack_masks, unpack_masks
from vision_research.deploy.reference import Prepared, PythonDetector

logger = logging.getLogger(__name__)

FROM_TENSOR = Tolerance(box_px=0.01, score=1e-4, mask=0.002)
FROM_IMAGE = Tolerance(box_px=0.5, score=0.01, mask=0.02)


@dataclass(frozen=True)
class CaseResult:
    """How one image came out.

    Attributes:
        name: of the image.
        from_tensor: difference from the normalised tensor on.
        from_image: difference from the raw image on.
    """

    name: str
    from_tensor: Difference
    from_image: Difference


@dataclass(frozen=True)
class Verification:
    """What a passed check measured.

    Attributes:
        cases: every image.
        python_s: median seconds of the detector in Python, preprocessing included.
        artifact_s: median seconds of the artifact, preprocessing included.
    """

    cases: tuple[CaseResult, ...]
    python_s: float
    artifact_s: float


def verify(artifact: Path, reference: PythonDetector, cases: Sequence[Case]) -> Verification:
    """Compare an artifact, reloaded in another process, with the detector in Python.

    Args:
        artifact: the TorchScript file.
        reference: the detector in Python.
        cases: images with their thresholds.

    Returns:
        The differences measured, all within tolerance.

    Raises:
        ExportError: a difference is above tolerance (the message says by how much, on which image), the artifact does
            not run, or it needed more than torch.
    """
    prepared, expected, seconds = _run_reference(reference, cases)
    requests = [_request(case, item, reference) for case, item in zip(cases, prepared, strict=True)]
    answer = run_consumer(artifact, requests)
    results = tuple(
        _compare_case(case, got, wanted) for case, got, wanted in zip(cases, answer["results"], expected, strict=True)
    )
    failures = [line for result in results for line in _failures(result)]
    if failures:
        raise ExportError("The exported model does not predict what the detector does:\n" + "\n".join(failures))
    return Verification(results, median(seconds), median(answer["seconds"]))


def run_consumer(artifact: Path, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Run an artifact in a fresh process that imports torch only (`consumer.serve`).

    Args:
        artifact: the TorchScript file.
        requests: as `consumer.serve` reads them.

    Returns:
        Its answer: `results` and `seconds`.

    Raises:
        ExportError: the process failed, or had imported more than torch.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "requests.pt"), Path(folder, "replies.pt")
        torch.save(requests, asked)
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(str(artifact), str(asked), str(answered), torch.get_num_threads())
        )
        with _empty_main():
            process.start()
        process.join()
        if process.exitcode != 0 or not answered.exists():
            raise ExportError(f"The process that loads the exported model ended with exit code {process.exitcode}.")
        answer: dict[str, Any] = torch.load(answered, weights_only=True)
    if "error" in answer:
        raise ExportError(f"The exported model does not run where only torch is imported:\n{answer['error']}")
    if answer["forbidden"]:
        raise ExportError(
            f"Loading the exported model imported {', '.join(answer['forbidden'])}; it must need torch alone."
        )
    return answer


@contextmanager
def _empty_main() -> Iterator[None]:
    """A spawned process first imports its parent's main module, with all that imports; show it an empty one."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _run_reference(
    reference: PythonDetector, cases: Sequence[Case]
) -> tuple[list[Prepared], list[Detections], list[float]]:
    prepared, expected, seconds = [], [], []
    for case in cases:
        started = time.perf_counter()
        prepared.append(reference.prepare(case.image))
        with reference.thresholds(case.score_thr, case.max_per_img):
            found = reference.predict(prepared[-1])
        expected.append(found if found.masks is None else found._replace(masks=pack_masks(found.masks)))
        seconds.append(time.perf_counter() - started)
    return prepared, expected, seconds


def _compare_case(case: Case, got: Sequence[Sequence[torch.Tensor]], expected: Detections) -> CaseResult:
    """Hold both answers of the artifact, from the image and from the tensor, against the detector's; masks in bits."""
    from_image, from_tensor, wanted = (
        found if found.masks is None else found._replace(masks=unpack_masks(found.masks, *case.image.shape[:2]))
        for found in (*(Detections(*outputs) for outputs in got), expected)
    )
    return CaseResult(case.name, compare(from_tensor, wanted), compare(from_image, wanted))


def _request(case: Case, prepared: Prepared, reference: PythonDetector) -> dict[str, Any]:
    return {
        "image": torch.from_numpy(case.image),
        "tensor": prepared.tensor,
        "geometry": reference.geometry(prepared),
        "score_thr": reference.score_thr if case.score_thr is None else case.score_thr,
        "max_per_img": reference.max_per_img if case.max_per_img is None else case.max_per_img,
    }


def _failures(result: CaseResult) -> list[str]:
    checks = (
        ("from the normalised tensor on", result.from_tensor, FROM_TENSOR),
        ("from the raw image on", result.from_image, FROM_IMAGE),
    )
    return [
        _describe(result.name, where, found, allowed) for where, found, allowed in checks if not found.within(allowed)
    ]


def _describe(name: str, where: str, found: Difference, allowed: Tolerance) -> str:
    if found.num_got != found.num_expected:
        return f"  {name}, {where}: {found.num_got} detections instead of {found.num_expected}"
    if found.box_px == float("inf"):
        return f"  {name}, {where}: {found.num_got} detections as expected, but of other classes or not finite"
    masks = "" if found.mask is None else f"masks by up to {found.mask:.3g} (allowed {allowed.mask:g}), "
    return (
        f"  {name}, {where}: boxes differ by up to {found.box_px:.4g} px (allowed {allowed.box_px:g}), "
        f"scores by up to {found.score:.3g} (allowed {allowed.score:g}), {masks}over {found.num_expected} detections"
    )
