"""The files that a finished run delivers to MLflow, and what a run lacks whose command was killed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vision_research.config.command_rules import SERVED_SUFFIX
from vision_research.config.compose import read_yaml
from vision_research.tracking.model_folder import served_model_files
from vision_research.tracking.records import FINAL_STATUSES
from vision_research.work_dir import BEST_PATTERN, RESUMABLE_PATTERNS, WorkDir, read_json

KILLED_CAUSE = "the command was killed"


def result_files(work_dir: WorkDir, checkpoints: Iterable[Path], model: Path | None) -> dict[str, list[Path]]:
    """List the files to record after a training, by their folder in the run.

    Args:
        work_dir: folder of the run.
        checkpoints: those to upload.
        model: the first exported model, or None; the others lie beside it.
    """
    others = (work_dir.skipped_images, work_dir.root / "profile.json")
    results = {"logs": [*sorted(work_dir.root.glob("*/*.log")), *filter(Path.is_file, others)]}
    results["checkpoints"] = sorted(set(checkpoints))
    if model is not None:
        served = served_model_files(model.with_suffix(SERVED_SUFFIX), work_dir)
        results["model"] = [*sorted(model.parent.glob(f"{model.stem}.*")), *served]
    return results


@dataclass(frozen=True)
class Leftovers:
    """What a run delivers whose command was killed.

    Attributes:
        status: FINISHED if all that the run was to deliver is there, FAILED if its ranks said so, or KILLED.
        cause: why it did not finish.
        files: to be recorded, by their folder in the run.
    """

    status: str
    cause: str | None = None
    files: dict[str, list[Path]] = field(default_factory=dict)


def leftovers(folder: Path) -> Leftovers:
    """Find what is there of a run whose command was killed; a sweep's folder has no files.

    Args:
        folder: the work_dir.
    """
    work_dir = WorkDir(folder)
    trained = read_json(work_dir.outcome)
    status = trained.get("status")
    exported = read_json(work_dir.export_outcome) if status == "FINISHED" else {}
    model = Path(exported["artifact"]) if exported.get("status") == "FINISHED" else None
    config = read_yaml(work_dir.config_yaml) if work_dir.config_yaml.is_file() else None
    files = {}
    if config is not None:
        kinds = ((BEST_PATTERN,), RESUMABLE_PATTERNS) if config["tracking"]["log_checkpoints"] else ()
        checkpoints = [path for patterns in kinds for path in work_dir.by_age(patterns)[-1:]]
        files = result_files(work_dir, checkpoints, model)
    if status == "FINISHED" and config is not None and config["export"]["formats"] and model is None:
        what = f"the export failed: {exported['cause']}" if exported.get("cause") else "the model was not exported"
        return Leftovers("KILLED", f"{KILLED_CAUSE} after the training; {what}", files)
    if status in FINAL_STATUSES:
        return Leftovers(status, trained.get("cause"), files)
    return Leftovers("KILLED", KILLED_CAUSE, files)
