"""From the `export` group to what the exporter is asked; the same for the end of a training and for the command."""

from __future__ import annotations

from pathlib import Path

from vision_research.config.schema import ExportConfig, ExportFormat
from vision_research.deploy.request import FORMATS, ExportRequest


def output_path(export: ExportConfig, folder: Path) -> Path:
    """Name the file to write: `export.output`, or `model` with the format's suffix in the folder of the run."""
    assert export.format is not ExportFormat.none, "callers export nothing then"
    return Path(export.output).absolute() if export.output else folder / f"model{FORMATS[export.format.value]}"


def export_request(
    export: ExportConfig, *, config: Path, checkpoint: Path, output: Path, run_id: str | None, trust: bool = False
) -> ExportRequest:
    """Write the request of an export.

    Args:
        export: what to make.
        config: the MMEngine config.
        checkpoint: its weights.
        output: the file to write.
        run_id: of the tracked run, where there is one.
        trust: unpickle a checkpoint that holds more than weights.
    """
    return ExportRequest(
        config=config,
        checkpoint=checkpoint,
        output=output,
        shape=None if export.shape is None else (export.shape[0], export.shape[1]),
        score_thr=export.score_thr,
        verify=export.verify,
        num_images=export.num_images,
        run_id=run_id,
        trust_checkpoint=trust,
    )
