"""Turns the `export` group into an `ExportRequest`, for the end of a training and for the `export` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.config.addresses import is_s3
from vision_research.config.schema import ExportConfig
from vision_research.deploy.formats.registry import FORMATS
from vision_research.deploy.request import ExportRequest, refuse_impossible
from vision_research.deploy.thresholds import read_thresholds


def output_path(export: ExportConfig, folder: Path) -> Path:
    """Name the file to write: `export.output`, or `model` with the first format's suffix in the folder of the run.

    An output in S3 is written to that folder first, under its own name.

    Args:
        export: the `export` group.
        folder: of the run.
    """
    if export.output and is_s3(export.output):
        return folder / export.output.rpartition("/")[2]
    if export.output:
        return Path(export.output).absolute()
    return folder / f"model{FORMATS[export.formats[0].value].suffix}"


def export_request(
    export: ExportConfig, *, config: Path, checkpoint: Path, output: Path, run_id: str | None, trust: bool = False
) -> ExportRequest:
    """Write the request of an export.

    Args:
        export: what to make, checked by `config.rules.export_problems`.
        config: the MMEngine config.
        checkpoint: its weights.
        output: the file to write.
        run_id: of the tracked run, where there is one.
        trust: unpickle a checkpoint that holds more than weights.

    Raises:
        ExportError: the file of thresholds cannot be read.
    """
    return ExportRequest(
        config=config,
        checkpoint=checkpoint,
        output=output,
        formats=tuple(chosen.value for chosen in export.formats),
        shape=None if export.shape in (None, "dynamic") else _size(export.shape),
        bounds=None if export.bounds is None else (_size(export.bounds[0]), _size(export.bounds[1])),
        batch=None if export.batch == "dynamic" else int(export.batch),
        precision=export.precision.value,
        preprocess=export.preprocess,
        fuse=export.fuse,
        score_thr=export.score_thr,
        thresholds=None if export.thresholds is None else read_thresholds(Path(export.thresholds)),
        verify=export.verify,
        num_images=export.num_images,
        run_id=run_id,
        trust_checkpoint=trust,
    )


def check_export(export: ExportConfig, detector: Any) -> None:
    """See, before a training starts, that its detector can be exported at the end as asked.

    Args:
        export: what to make, checked by `config.rules.export_problems`.
        detector: built by MMDetection; its weights do not matter.

    Raises:
        ExportError: no family exports it, a format cannot do what is asked, or a package is missing.
    """
    from vision_research.deploy.families.registry import find_family
    from vision_research.detectors.build import predicting_part

    nowhere = Path()
    refuse_impossible(export_request(export, config=nowhere, checkpoint=nowhere, output=nowhere, run_id=None))
    find_family(predicting_part(detector))


def _size(pair: Any) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])
