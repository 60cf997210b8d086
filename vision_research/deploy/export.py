"""Exports a detector: config and checkpoint in, verified files and their manifests out.

Runs in a process of its own, so that errors in it cannot harm the run that is recorded, and a sweep leaks no memory.
Either all files are written and agree with the detector, or none is.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.deploy.artifact.manifest import Manifest, manifest_path
from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.modules import DTYPES, Form
from vision_research.deploy.build.source import Source, load_source
from vision_research.deploy.check.bounds import bounds_of
from vision_research.deploy.check.cases import Case, Image, build_cases, load_images, load_truths
from vision_research.deploy.check.expected import Expected
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.check.verify import Verification, verify
from vision_research.deploy.description import describe
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.family import Family
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.registry import FORMATS, SUFFIXES
from vision_research.deploy.request import ExportRequest, refuse_impossible
from vision_research.deploy.thresholds import thresholds_of
from vision_research.detectors.weights import load_weights

__all__ = ["CheckpointReader", "ExportRequest", "Exported", "export_detector"]

logger = logging.getLogger(__name__)

CheckpointReader = Callable[[Path, bool], Mapping[str, Any]]
"""Reads a checkpoint; the flag says whether the file is trusted."""

# Images that int8 is calibrated on: somewhat more than the least that OpenVINO and ONNX Runtime recommend.
_NUM_CALIBRATION = 128


@dataclass(frozen=True)
class Exported:
    """One file that was written.

    Attributes:
        path: of the file.
        manifest: of the file.
    """

    path: Path
    manifest: Manifest


def export_detector(request: ExportRequest, read_checkpoint: CheckpointReader) -> tuple[Exported, ...]:
    """Export a detector and check the artifacts.

    Args:
        request: what to export, and where to.
        read_checkpoint: reads a checkpoint; passed in because this package knows nothing of storage.

    Returns:
        The files, in the order of the formats asked for.

    Raises:
        ExportError: the detector is not supported, a format cannot do what is asked, the shape does not fit, the output
            cannot be written, or an artifact differs from the detector. No file is left behind then.
        WeightsError: config and checkpoint do not belong together. No file is left behind then.
    """
    refuse_impossible(request)
    with _temporary_beside(request) as folder:
        source = load_source(request.config)
        family = find_family(source.detector)
        spec = source.input_spec(request.shape, request.bounds)
        lowest = None if request.thresholds is None else thresholds_of(request.thresholds, source.classes)
        checkpoint = read_checkpoint(request.checkpoint, request.trust_checkpoint)
        load_weights(source.whole, checkpoint, source.classes, str(request.checkpoint))
        if request.score_thr is not None:
            family.test_cfg(source.detector).score_thr = request.score_thr
        reference = PythonDetector(source.detector, source.pipeline, spec, family, lowest)
        job, images = _prepare(request, source, family, spec, lowest)
        expected, cases = _expectations(request, source, reference, images)
        exported = [_export(name, request, job, expected, cases, source, folder) for name in request.formats]
        for one in exported:
            one.manifest.write(manifest_path(folder / one.path.name))
        for file in sorted(folder.iterdir()):
            file.replace(request.output.parent / file.name)
    for one in exported:
        logger.info("Exported %s, %.1f MB.", one.path, one.manifest.artifact["size_bytes"] / 1e6)
    return tuple(exported)


def _prepare(
    request: ExportRequest, source: Source, family: Family, spec: InputSpec, lowest: tuple[float, ...] | None
) -> tuple[Job, list[tuple[str, Image]]]:
    """The job for the writers, and the images that the artifacts are checked on."""
    num_calibration = _NUM_CALIBRATION if request.precision == "int8" else 0
    calibration = [image for _, image in load_images(source.dataset, source.pipeline, num_calibration)]
    images = load_images(source.dataset, source.pipeline, request.num_images + 1)
    precision = request.precision if request.precision in DTYPES else "fp32"
    form = Form(request.batch, request.preprocess, precision, lowest, request.fuse)
    taken = [images[0][1], *calibration]
    return Job(source.detector, spec, form, request.precision, family.gives_masks, taken), images[1:]


def _expectations(
    request: ExportRequest, source: Source, reference: PythonDetector, images: Sequence[tuple[str, Image]]
) -> tuple[Expected, list[Case]]:
    if not request.verify:
        return Expected(reference), []
    truths = load_truths(source.dataset, request.num_images + 1)
    return Expected(reference, truths), build_cases(images, reference)


def _export(
    name: str,
    request: ExportRequest,
    job: Job,
    expected: Expected,
    cases: Sequence[Case],
    source: Source,
    folder: Path,
) -> Exported:
    path = request.path_of(name)
    logger.info("Writing %s as %s.", type(source.detector).__name__, name)
    FORMATS[name].write(job, folder / path.name)
    verification = _verify(name, folder / path.name, job, expected, cases) if request.verify else None
    return Exported(path, describe(name, request, job, source, expected.reference, folder / path.name, verification))


def _verify(name: str, artifact: Path, job: Job, expected: Expected, cases: Sequence[Case]) -> Verification:
    entry = FORMATS[name]
    # Where thresholds cannot be set, the cases with thresholds of their own are left out.
    plain = {case.name: case for case in cases if case.is_plain}
    selected = list(cases) if entry.settable_thresholds else list(plain.values())
    logger.info("Checking it on %d images, reloaded in a process that has its runtime alone.", len(selected))
    bounds = bounds_of(name, job.precision, job.form.fuse, job.gives_masks and job.form.batch != 1)
    verification = verify(artifact, expected, selected, job.form, bounds)
    found = [case.overall for case in verification.cases]
    logger.info(
        "It agrees: boxes within %.2g px, scores within %.2g, %.2g%% without a partner; %.3f s, in Python %.3f s.",
        max(one.box_px for one in found),
        max(one.score for one in found),
        100 * verification.unmatched_share,
        verification.artifact_s,
        verification.python_s,
    )
    return verification


@contextmanager
def _temporary_beside(request: ExportRequest) -> Iterator[Path]:
    """A hidden folder beside the output, which is removed afterwards with what is still in it."""
    output = request.output
    if output.suffix == ".json":
        raise ExportError(f"{output} is where the manifest would lie; name the model otherwise, for instance model.ts.")
    if len(request.formats) == 1 and output.suffix in SUFFIXES and request.path_of(request.formats[0]) != output:
        raise ExportError(
            f"{output} is no name for {request.formats[0]}. Type export.output={request.path_of(request.formats[0])}."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise ExportError(f"Cannot write {output}: {error.strerror}. Choose another folder for the export.") from error
    with folder as name:
        yield Path(name)
