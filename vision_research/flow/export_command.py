"""The `export` command's flow: find the detector, choose images, export in a process of its own, record."""

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
from vision_research.config.validate import export_problems
from vision_research.datasets.image_folder import image_folder_dataset, list_images
from vision_research.flow.evaluation_data import classes_of, split_of_config, split_of_typed, typed_data
from vision_research.flow.export_metrics import manifest_metrics
from vision_research.flow.export_request import export_request, output_path
from vision_research.flow.export_to_s3 import model_files, publish_models
from vision_research.flow.model_record import served_model_files
from vision_research.flow.output import require_writable
from vision_research.flow.run_data import run_data
from vision_research.flow.source import Source, find_source
from vision_research.flow.write import config_text
from vision_research.launch.plan import export_plan
from vision_research.launch.process import run_plan
from vision_research.tracking.addition import adding_to
from vision_research.work_dir import WorkDir, write_atomic


def export(words: ExportCommand) -> Path:
    """Export a detector, and record the artifact in its run.

    Returns:
        The artifact; the first of several.

    Raises:
        UserError: what a person can mend, before anything is started.
        SystemExit: the export's own process refused or failed, and has said why.
    """
    _check_words(words)
    source = find_source(words)
    output = output_path(words.export, source.export_dir)
    require_writable("export.output", output)
    with _export_folder() as folder:
        config = _config_with_images(words, source, folder.root)
        request = export_request(
            words.export,
            config=config,
            checkpoint=source.checkpoint,
            output=output,
            run_id=source.run_id,
            trust=words.trust_checkpoint,
        )
        write_atomic(folder.export_dir / "request.json", request.to_json())
        finished = run_plan(export_plan(folder.root))
        if finished.returncode != 0:
            sys.exit(128 + finished.stopped_by if finished.stopped_by else 1)
        artifacts = json.loads((folder.export_dir / "outcome.json").read_text())["artifacts"]
    _record(words, source, artifacts)
    for one in artifacts:
        _print_result(Path(one["artifact"]), one["manifest"])
    for address in publish_models(words.export.output, [Path(one["artifact"]) for one in artifacts]):
        print(f"in S3     {address}", flush=True)
    return Path(artifacts[0]["artifact"])


def _check_words(words: ExportCommand) -> None:
    if not words.export.formats:
        raise ConfigError("export=none makes nothing. Type export=torchscript")
    if problems := list(export_problems(words.export)):
        raise ConfigError(problems)


@contextmanager
def _export_folder() -> Iterator[WorkDir]:
    """A folder for the request and the answer, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="export-") as name:
        folder = WorkDir(Path(name))
        folder.export_dir.mkdir()
        yield folder


def _config_with_images(words: ExportCommand, source: Source, folder: Path) -> Path:
    """Return the config to export with: the detector's own, or a copy of it with other images to compare on."""
    from mmengine.config import Config

    config = Config.fromfile(str(source.config), import_custom_modules=False)
    typed = typed_data(words.data, run_data(source))
    if words.images is None and typed is None:
        split_of_config(config, source.config, "val")
        return source.config
    classes = classes_of(config)
    if words.images is not None:
        images = list_images(Path(words.images))
        if not images:
            raise ConfigError(f"images={words.images}: no image is in it. Type images=FOLDER")
        dataset = image_folder_dataset(images, classes, folder / "images.json")
    else:
        assert typed is not None
        dataset = split_of_typed(typed, words.storage, classes, "val", "bbox").dataset
    pipeline = (config.get("test_dataloader") or config.val_dataloader).dataset.pipeline
    config.val_dataloader = {**_loader(config), "dataset": {**dataset, "pipeline": pipeline}}
    path = folder / "config.py"
    write_atomic(path, config_text(config.to_dict()))
    return path


def _loader(config: Any) -> dict[str, Any]:
    loader = config.get("val_dataloader")
    return dict(loader) if loader else {"batch_size": 1, "num_workers": 0}


def _record(words: ExportCommand, source: Source, artifacts: list[dict[str, Any]]) -> None:
    if (work_dir := source.recorded_in(words.tracking)) is None:
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


def _print_result(output: Path, manifest: dict[str, Any]) -> None:
    lines = [("artifact", f"{output}  ({manifest['artifact']['size_bytes'] / 1e6:.1f} MB)")]
    if checked := manifest["verification"]:
        measured = checked["from_image"] or checked["from_tensor"]
        differences = (
            f"boxes within {measured['max_box_difference_px']:.2g} px, scores within "
            f"{measured['max_score_difference']:.2g} of the detector in Python, on {checked['num_images']} images"
        )
        if checked["unmatched_share"]:
            differences += f"; {checked['unmatched_share']:.2%} of the detections have no partner"
        lines.append(("verified", differences))
        if precision := checked["average_precision"]:
            both = f"{precision['artifact']:.4f}, the detector's {precision['python']:.4f}"
            lines.append(("mAP", f"{both}, on {precision['num_images']} images"))
    print("\n" + "\n".join(f"{name:<8}  {value}" for name, value in lines), flush=True)
