"""Exports a detector in a separate process: at the end of a training, and for the `export` command."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_research.config.command_schema import ExportCommand
from vision_research.config.errors import ConfigError
from vision_research.config.rules import export_problems
from vision_research.datasets.image_folder import image_folder_dataset, list_images
from vision_research.deploy.export_group import export_request, output_path
from vision_research.deploy.export_metrics import describe_export, manifest_metrics
from vision_research.deploy.publish import model_files, publish_models
from vision_research.deploy.request import ExportRequest
from vision_research.flow.prepare import PreparedRun, config_text
from vision_research.flow.source import Source, find_source, run_id_of
from vision_research.inference.evaluation_data import classes_of, split_of_config, split_of_typed, typed_data
from vision_research.launch.outcome import Outcome
from vision_research.launch.plan import export_plan
from vision_research.launch.process import Finished, run_plan
from vision_research.storage.s3.errors import S3Error
from vision_research.storage.typed_files import require_writable
from vision_research.tracking.model_folder import served_model_files
from vision_research.tracking.tracked_run import adding_to
from vision_research.work_dir import WorkDir, read_json, write_atomic


def export_best(run: PreparedRun, outcome: Outcome) -> Outcome:
    """Export the best checkpoint, or the last one where there was no validation.

    Args:
        run: the run.
        outcome: of its training.

    Returns:
        The outcome with the model, or FAILED with the reason; the training's results are kept.
    """
    assert outcome.checkpoint is not None, "a finished training has saved a checkpoint"
    request = export_request(
        run.config.export,
        config=run.work_dir.config_py,
        checkpoint=outcome.checkpoint,
        output=output_path(run.config.export, run.work_dir.export_dir),
        run_id=run_id_of(run.work_dir),
    )
    finished, result = _export(run.work_dir, request)
    if finished.stopped_by:
        return replace(outcome, status="KILLED", cause="stopped during the export", signal=int(finished.stopped_by))
    if finished.returncode != 0:
        cause = result["cause"] if result else f"exit code {finished.returncode}"
        return replace(outcome, status="FAILED", cause=f"the training is complete, the export failed: {cause}")
    try:
        publish_models(run.config.export.output, [Path(one["artifact"]) for one in result["artifacts"]])
    except S3Error as error:
        cause = f"the training and the export are complete, {run.config.export.output} is not: {error}"
        return replace(outcome, status="FAILED", cause=cause, model=request.output)
    return replace(outcome, model=request.output)


def export(command: ExportCommand) -> Path:
    """Export a detector, and record the artifacts in its run; return the first one.

    Raises:
        UserError: the configuration is wrong.
        SystemExit: the export process failed, and has printed why.
    """
    if not command.export.formats:
        raise ConfigError("export=none makes nothing. Type export=torchscript")
    if problems := list(export_problems(command.export)):
        raise ConfigError(problems)
    source = find_source(command)
    output = output_path(command.export, source.export_dir)
    require_writable("export.output", output)
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        request = export_request(
            command.export,
            config=_config_with_images(command, source, Path(folder)),
            checkpoint=source.checkpoint,
            output=output,
            run_id=source.run_id,
            trust=command.trust_checkpoint,
        )
        finished, result = _export(WorkDir(Path(folder)), request)
    if finished.returncode != 0:
        sys.exit(128 + finished.stopped_by if finished.stopped_by else 1)
    _record(command, source, result["artifacts"])
    paths = [Path(one["artifact"]) for one in result["artifacts"]]
    for path, one in zip(paths, result["artifacts"], strict=True):
        print(f"\n{describe_export(path, one['manifest'])}", flush=True)
    for address in publish_models(command.export.output, paths):
        print(f"in S3     {address}", flush=True)
    return paths[0]


def _export(work_dir: WorkDir, request: ExportRequest) -> tuple[Finished, dict[str, Any]]:
    """Run the export process; return its end, and the outcome that it wrote (empty without one)."""
    folder, result = work_dir.export_dir, work_dir.export_outcome
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "request.json", request.to_json())
    result.unlink(missing_ok=True)
    finished = run_plan(export_plan(work_dir.root))
    return finished, read_json(result)


def _config_with_images(command: ExportCommand, source: Source, folder: Path) -> Path:
    """Return the config for the export: the detector's, or a copy with other images for the verification."""
    from mmengine.config import Config

    config = Config.fromfile(str(source.config), import_custom_modules=False)
    typed = typed_data(command.data, source.run_data)
    if command.images is None and typed is None:
        split_of_config(config, source.config, "val")
        return source.config
    classes = classes_of(config)
    if command.images is not None:
        images = list_images(Path(command.images))
        if not images:
            raise ConfigError(f"images={command.images}: no image is in it. Type images=FOLDER")
        dataset = image_folder_dataset(images, classes, folder / "images.json")
    else:
        assert typed is not None
        dataset = split_of_typed(typed, command.storage, classes, "val", "bbox").dataset
    pipeline = (config.get("test_dataloader") or config.val_dataloader).dataset.pipeline
    loader = config.get("val_dataloader") or {"batch_size": 1, "num_workers": 0}
    config.val_dataloader = {**loader, "dataset": {**dataset, "pipeline": pipeline}}
    path = folder / "config.py"
    write_atomic(path, config_text(config.to_dict()))
    return path


def _record(command: ExportCommand, source: Source, artifacts: list[dict[str, Any]]) -> None:
    if (work_dir := source.recorded_in(command.tracking)) is None:
        return
    with adding_to(work_dir) as run:
        for one in artifacts:
            path = Path(one["artifact"])
            for file in (*model_files(path), *served_model_files(path, work_dir)):
                run.log_artifact(file, "model")
            run.set_tags({f"export.{path.name}": str(path)})
            if one["manifest"]["verification"]:
                values = manifest_metrics(one["manifest"])
                name = one["manifest"]["format"]
                run.log_metrics({f"export/{name}/{key}": value for key, value in values.items()}, step=0)
