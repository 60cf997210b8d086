"""Exports a detector at the end of a training, in a separate process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from vision_research.deploy.export_group import export_request, output_path
from vision_research.deploy.publish import publish_models
from vision_research.flow.prepare import PreparedRun
from vision_research.launch.outcome import Outcome
from vision_research.launch.plan import export_plan
from vision_research.launch.process import run_plan
from vision_research.storage.s3.errors import S3Error
from vision_research.work_dir import write_atomic


def export_best(run: PreparedRun, outcome: Outcome) -> Outcome:
    """Export the best checkpoint, or the last one where there was no validation.

    Args:
        run: the run.
        outcome: of its training.

    Returns:
        The outcome with the model, or FAILED with the reason; the training's results are kept.
    """
    folder = run.work_dir.export_dir
    folder.mkdir(exist_ok=True)
    assert outcome.checkpoint is not None, "a finished training has saved a checkpoint"
    request = export_request(
        run.config.export,
        config=run.work_dir.config_py,
        checkpoint=outcome.checkpoint,
        output=output_path(run.config.export, folder),
        run_id=_run_id(run),
    )
    write_atomic(folder / "request.json", request.to_json())
    result = folder / "outcome.json"
    result.unlink(missing_ok=True)
    finished = run_plan(export_plan(run.work_dir.root))
    if finished.stopped_by:
        return replace(outcome, status="KILLED", cause="stopped during the export", signal=int(finished.stopped_by))
    if finished.returncode != 0:
        cause = json.loads(result.read_text())["cause"] if result.is_file() else f"exit code {finished.returncode}"
        return replace(outcome, status="FAILED", cause=f"the training is complete, the export failed: {cause}")
    artifacts = [Path(one["artifact"]) for one in json.loads(result.read_text())["artifacts"]]
    try:
        publish_models(run.config.export.output, artifacts)
    except S3Error as error:
        cause = f"the training and the export are complete, {run.config.export.output} is not: {error}"
        return replace(outcome, status="FAILED", cause=cause, model=request.output)
    return replace(outcome, model=request.output)


def _run_id(run: PreparedRun) -> str | None:
    if not run.work_dir.run_json.is_file():
        return None
    return str(json.loads(run.work_dir.run_json.read_text())["run_id"])
