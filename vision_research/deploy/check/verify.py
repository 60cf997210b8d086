"""Compares a saved artifact, run in a process that imports its runtime alone, with the detector in Python."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.modules import Form
from vision_research.deploy.check.agreement import agree
from vision_research.deploy.check.average_precision import AveragePrecision
from vision_research.deploy.check.bounds import EXACT, Bounds
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.consume import Reply, Request, run_consumer
from vision_research.deploy.check.consumer import unpack_masks
from vision_research.deploy.check.difference import Difference, Tolerance, compare
from vision_research.deploy.check.expected import Answer, Expected
from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.registry import format_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseResult:
    """The differences on one image.

    Attributes:
        name: of the image.
        from_tensor: difference when run from the normalised tensor on; None where the artifact takes images alone.
        from_image: difference when run from the raw image on; None where the artifact takes the tensor.
    """

    name: str
    from_tensor: Difference | None
    from_image: Difference | None

    @property
    def overall(self) -> Difference:
        """The difference when run from what the artifact takes."""
        found = self.from_image or self.from_tensor
        assert found is not None
        return found


@dataclass(frozen=True)
class Verification:
    """What a check measured.

    Attributes:
        cases: results of all images.
        bounds: what they were held to.
        python_s: median seconds of the detector in Python, preprocessing included.
        artifact_s: median seconds of the artifact, for as many images as it takes at once.
        average_precision: mAP of the detector and of the artifact, where there are annotations.
    """

    cases: tuple[CaseResult, ...]
    bounds: Bounds
    python_s: float
    artifact_s: float
    average_precision: AveragePrecision | None = None

    @property
    def unmatched_share(self) -> float:
        """Share of the detections of both sides, over all images, that have no partner."""
        found = [case.overall for case in self.cases]
        return sum(one.unmatched for one in found) / max(sum(one.num_expected + one.num_got for one in found), 1)


def verify(
    artifact: Path, expected: Expected, cases: Sequence[Case], form: Form | None = None, bounds: Bounds = EXACT
) -> Verification:
    """Compare an artifact, reloaded in another process, with the detector in Python.

    Args:
        artifact: the file.
        expected: gives the detections of the detector in Python.
        cases: images with their thresholds.
        form: what the artifact takes and gives; None is one image at a time.
        bounds: what the artifact is held to.

    Raises:
        ExportError: a difference is above its bound (the message says by how much, on which image), the artifact does
            not run, or it needed more than its runtime.
    """
    form = form or Form()
    groups = [_group(case, form) for case in cases]
    answers = [[expected.answer(case, form.preprocess) for case in group] for group in groups]
    requests = [_request(group, found, form, artifact, expected) for group, found in zip(groups, answers, strict=True)]
    replies = run_consumer(artifact, requests)
    results, pairs = [], []
    for group, found, reply in zip(groups, answers, replies, strict=True):
        got = _per_image(reply, group, found, form)
        for case, answer, one in zip(group, found, got, strict=True):
            results.append(_compare_case(case, answer, one, reply, form, bounds, expected))
            pairs.append((case, answer.detections, one))
    verification = Verification(
        tuple(results),
        bounds,
        median(answer.seconds for found in answers for answer in found),
        median(reply.seconds for reply in replies),
        expected.average_precision(pairs),
    )
    if failures := _failures(verification):
        raise ExportError("The exported model does not predict what the detector does:\n" + "\n".join(failures))
    return verification


def _group(case: Case, form: Form) -> list[Case]:
    """The cases that are run together: in a batch, the image and its mirrored copy, which has the same size."""
    return [case] if form.batch == 1 else [case, case.mirrored()]


def _request(
    group: Sequence[Case], answers: Sequence[Answer], form: Form, artifact: Path, expected: Expected
) -> Request:
    tensors = [answer.prepared.tensor.numpy() for answer in answers]
    given = [case.image for case in group] if form.preprocess else tensors
    if form.batch == 1:
        taken = given[0]
    else:
        filled = [given[place % len(given)] for place in range(form.batch or len(given))]
        taken = np.stack(filled) if form.preprocess else np.concatenate(filled)
    if not format_of(artifact).settable_thresholds:
        return Request(taken)
    settings = expected.settings(group[0])
    if form.batch != 1 or not form.preprocess:
        return Request(taken, settings=settings)
    return Request(taken, tensors[0], expected.reference.geometry(answers[0].prepared), settings)


def _per_image(reply: Reply, group: Sequence[Case], answers: Sequence[Answer], form: Form) -> list[Detections]:
    if form.batch == 1:
        return [_detections(reply.outputs, answers[0])]
    *padded, counts = reply.outputs
    return [
        _detections([output[place][:count] for output in padded], answers[place])
        for place, count in zip(range(len(group)), counts.tolist(), strict=False)
    ]


def _detections(outputs: Sequence[NDArray[np.generic]], answer: Answer) -> Detections:
    masks = [torch.from_numpy(unpack_masks(packed, *answer.image_size)) for packed in outputs[3:]]  # type: ignore[arg-type]
    return Detections(*(torch.from_numpy(output) for output in outputs[:3]), *masks)


def _compare_case(
    case: Case, answer: Answer, got: Detections, reply: Reply, form: Form, bounds: Bounds, expected: Expected
) -> CaseResult:
    python = answer.unpacked()
    if bounds.is_exact:
        overall = compare(got, python)
    else:
        settings = expected.settings(case)
        overall = agree(got, python, bounds.tolerance, settings["score_thr"], settings["max_per_img"])
    if not form.preprocess:
        return CaseResult(case.name, overall, None)
    if not reply.from_tensor:
        return CaseResult(case.name, None, overall)
    return CaseResult(case.name, compare(_detections(reply.from_tensor, answer), python), overall)


def _failures(verification: Verification) -> list[str]:
    bounds, lines = verification.bounds, []
    if bounds.is_exact:
        for result in verification.cases:
            checks = (("normalised tensor", result.from_tensor), ("raw image", result.from_image))
            lines += [
                _describe(result.name, f"from the {where} on", found, bounds.tolerance)
                for where, found in checks
                if found is not None and not found.within(bounds.tolerance)
            ]
    elif verification.unmatched_share > bounds.tolerance.unmatched:
        worst = max(verification.cases, key=lambda case: case.overall.unmatched)
        lines.append(
            f"  {verification.unmatched_share:.2%} of the detections have no partner within "
            f"{bounds.tolerance.box_px:g} px and a score of {bounds.tolerance.score:g} "
            f"(allowed {bounds.tolerance.unmatched:.0%}); most on {worst.name}: {worst.overall.unmatched} of "
            f"{worst.overall.num_expected + worst.overall.num_got}"
        )
    measured = verification.average_precision
    if measured is not None and measured.difference > bounds.average_precision:
        lines.append(
            f"  mAP is {measured.artifact:.4f} instead of {measured.python:.4f} on {measured.num_images} images "
            f"(allowed {bounds.average_precision:g})"
        )
    return lines


def _describe(name: str, where: str, found: Difference, allowed: Tolerance) -> str:
    if found.num_got != found.num_expected:
        return f"  {name}, {where}: {found.num_got} detections instead of {found.num_expected}"
    if found.box_px == float("inf"):
        return f"  {name}, {where}: {found.num_got} detections as expected, but of other classes or not finite"
    masks = "" if found.mask is None else f", masks by up to {found.mask:.3g} (allowed {allowed.mask:g})"
    return (
        f"  {name}, {where}: boxes differ by up to {found.box_px:.4g} px (allowed {allowed.box_px:g}), "
        f"scores by up to {found.score:.3g} (allowed {allowed.score:g}){masks}, over {found.num_expected} detections"
    )
