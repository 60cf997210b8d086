"""The steps of the `export` command: find the detector, choose images, export in a separate process, record."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_research.config.command_schema import ExportCommand
from vision_research.config.errors import ConfigError
from vision_research.config.rules import export_problems
from vision_research.datasets.image_folder import image_folder_dataset, list_images
from vision_research.deploy.export_group import export_request, output_path
from vision_research.deploy.export_metrics import describe_export, manifest_metrics
from vision_research.deploy.publish import model_files, publish_models
from vision_research.flow.source import Source, find_source
from vision_research.flow.write import config_text
from vision_research.inference.evaluation_data import classes_of, split_of_config, split_of_typed, typed_data
from vision_research.launch.plan import export_plan
from vision_research.launch.process import run_plan
from vision_research.storage.typed_files import require_writable
from vision_research.tracking.model_folder import served_model_files
from vision_research.tracking.tracked_run import adding_to
from vision_research.work_dir import WorkDir, write_atomic


def export(command: ExportCommand) -> Path:
    """Export a detector, and record the artifact in its run.

    Returns:
        The first artifact.

    Raises:
        UserError: the configuration is wrong.
        SystemExit: the export process failed, and has printed why.
    """
    _check(command)
    source = find_source(command)
    output = output_path(command.export, source.export_dir)
    require_writable("export.output", output)
    with _export_folder() as folder:
        config = _config_with_images(command, source, folder.root)
        request = export_request(
            command.export,
            config=config,
            checkpoint=source.checkpoint,
            output=output,
            run_id=source.run_id,
            trust=command.trust_checkpoint,
        )
        write_atomic(folder.export_dir / "request.json", request.to_json())
        finished = run_plan(export_plan(folder.root))
        if finished.returncode != 0:
            sys.exit(128 + finished.stopped_by if finished.stopped_by else 1)
        artifacts = json.loads((folder.export_dir / "outcome.json").read_text())["artifacts"]
    _record(command, source, artifacts)
    for one in artifacts:
        print(f"\n{describe_export(Path(one['artifact']), one['manifest'])}", flush=True)
    for address in publish_models(command.export.output, [Path(one["artifact"]) for one in artifacts]):
        print(f"in S3     {address}", flush=True)
    return Path(artifacts[0]["artifact"])


def _check(command: ExportCommand) -> None:
    if not command.export.formats:
        raise ConfigError("export=none makes nothing. Type export=torchscript")
    if problems := list(export_problems(command.export)):
        raise ConfigError(problems)


@contextmanager
def _export_folder() -> Iterator[WorkDir]:
    """Create a temporary folder for the request and the result of the export process."""
    with tempfile.TemporaryDirectory(prefix="export-") as name:
        folder = WorkDir(Path(name))
        folder.export_dir.mkdir()
        yield folder


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
    config.val_dataloader = {**_loader(config), "dataset": {**dataset, "pipeline": pipeline}}
    path = folder / "config.py"
    write_atomic(path, config_text(config.to_dict()))
    return path


def _loader(config: Any) -> dict[str, Any]:
    loader = config.get("val_dataloader")
    return dict(loader) if loader else {"batch_size": 1, "num_workers": 0}


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
