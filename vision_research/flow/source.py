"""Where a command on a finished run starts: the config, the weights, and the folder that results belong to."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.config.addresses import RUNS_SCHEME, is_s3
from vision_research.config.command_schema import SourceConfig
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.storage import s3_settings
from vision_research.config.schema import StorageConfig, Tracker, TrackingConfig
from vision_research.flow.bare_files import config_here, file_here
from vision_research.flow.resume_from_s3 import bring
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.settings import S3Settings
from vision_research.tracking.uri import resolve_uri
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)

CHECKPOINT_PATTERNS = ("best_*.pth", "epoch_*.pth", "iter_*.pth")
NO_SOURCE = (
    "run is not set. Type run=WORK_DIR, run=runs:/ID for a run in MLflow, run=s3://BUCKET/KEY for one in S3, or "
    "checkpoint=FILE config=FILE, each of which may be s3://BUCKET/KEY"
)


@dataclass(frozen=True)
class Source:
    """A detector with its weights.

    Attributes:
        config: the MMEngine config.
        checkpoint: its weights.
        iteration: training iterations behind the weights; 0 where that is not known.
        work_dir: folder of the run; None for a bare checkpoint.
        folder: that results of a bare checkpoint go to.
    """

    config: Path
    checkpoint: Path
    iteration: int = 0
    work_dir: WorkDir | None = None
    folder: Path | None = None

    @property
    def is_tracked(self) -> bool:
        """Whether there is an MLflow run to record results in."""
        return self.work_dir is not None and self.work_dir.run_json.is_file()

    def recorded_in(self, tracking: TrackingConfig) -> WorkDir | None:
        """The folder of the tracked run that results are added to; None where there is none, or `tracking=none`."""
        return self.work_dir if self.is_tracked and tracking.kind is not Tracker.none else None

    @property
    def export_dir(self) -> Path:
        """Where its exported models lie if nothing else was typed."""
        return (self.work_dir or WorkDir(self.folder or self.checkpoint.parent)).export_dir

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run, where there is one."""
        if self.work_dir is None or not self.is_tracked:
            return None
        return str(json.loads(self.work_dir.run_json.read_text())["run_id"])


def reach_s3(words: SourceConfig) -> None:
    """Let `s3://` mean what was typed, before the first address is looked at."""
    begin_run(S3Settings(**s3_settings(words.storage)))


def find_source(words: SourceConfig) -> Source:
    """Find config and weights of what was typed; a run in MLflow or in S3 is downloaded.

    Raises:
        ConfigError: the words do not name a detector, or there is no run, no config or no checkpoint.
        EnvironmentProblem: MLflow does not answer.
        S3Error: what lies in S3 may not be read, or the server was away for too long.
    """
    reach_s3(words)
    checkpoint = None if words.checkpoint is None else file_here("checkpoint", words.checkpoint)
    if words.run is None:
        if checkpoint is None and words.config is None:
            raise ConfigError(NO_SOURCE)
        if checkpoint is None or words.config is None:
            lacking = "config" if words.config is None else "checkpoint"
            raise ConfigError(
                f"{lacking} is not set: a bare checkpoint needs its config. Type {lacking}=FILE, or run=..."
            )
        return Source(config_here(words.config), checkpoint, folder=_folder_of_bare(words, checkpoint))
    if words.config is not None:
        raise ConfigError(
            f"config={words.config} with run={words.run}: a run has its own config. Leave one of them out"
        )
    work_dir = _work_dir(words)
    if checkpoint is not None:
        return Source(work_dir.config_py, checkpoint, work_dir=work_dir)
    path, iteration = best_checkpoint(work_dir, words.run)
    return Source(work_dir.config_py, path, iteration, work_dir)


def best_checkpoint(work_dir: WorkDir, typed: str) -> tuple[Path, int]:
    """Find the best checkpoint of a run, or the newest where nothing was validated.

    Args:
        work_dir: folder of the run; it may have been moved since.
        typed: how the person named it.

    Returns:
        The file, and the training iterations behind it as far as the run has noted them.

    Raises:
        ConfigError: there is none.
    """
    ended: dict[str, Any] = json.loads(work_dir.outcome.read_text()) if work_dir.outcome.is_file() else {}
    for entry in (ended.get("best"), ended.get("last")):
        if entry and (path := work_dir.root / Path(entry["path"]).name).is_file():
            return path, int(entry["iteration"])
    for pattern in CHECKPOINT_PATTERNS:
        if found := list(work_dir.root.glob(pattern)):
            return max(found, key=lambda path: path.stat().st_mtime), 0
    raise ConfigError(
        f"run={typed}: no checkpoint is in {work_dir.root} ({', '.join(CHECKPOINT_PATTERNS)}). Train it first, or type "
        "checkpoint=FILE beside it"
    )


def downloaded_run(typed: str, tracking: TrackingConfig, storage: StorageConfig) -> WorkDir:
    """Make a work_dir of a run in MLflow.

    Args:
        typed: `runs:/ID`.
        tracking: where the run is.
        storage: where its work_dir goes.

    Raises:
        ConfigError: there is no such run, or it holds no checkpoint.
        EnvironmentProblem: MLflow does not answer.
    """
    from vision_research.tracking.download import download_run

    uri = resolve_uri(tracking.uri, Path.cwd())
    run_id = typed.removeprefix(RUNS_SCHEME).strip("/")
    return WorkDir(download_run(run_id, uri, tracking.timeout_s, Path(storage.runs).absolute()))


def _folder_of_bare(words: SourceConfig, checkpoint: Path) -> Path:
    """Beside the checkpoint; for one in S3, whose copy here lies in a cache, a folder of its name among the runs."""
    return Path(words.storage.runs).absolute() / checkpoint.stem if is_s3(words.checkpoint) else checkpoint.parent


def _work_dir(words: SourceConfig) -> WorkDir:
    assert words.run is not None
    if words.run.startswith(RUNS_SCHEME):
        return downloaded_run(words.run, words.tracking, words.storage)
    if is_s3(words.run):
        return WorkDir(bring(f"run={words.run}", words.storage.runs, S3Settings(**s3_settings(words.storage))))
    work_dir = WorkDir(Path(words.run).absolute())
    if not work_dir.config_py.is_file():
        raise ConfigError(f"run={words.run}: there is no run in it (no config.py). {_existing_runs(words)}")
    return work_dir


def _existing_runs(words: SourceConfig) -> str:
    folder = Path(words.storage.runs)
    found = sorted(folder.glob("*/config.py"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not found:
        return "Type the work_dir of a run, or run=runs:/ID"
    return f"Type run=WORK_DIR; the newest in {folder} are {', '.join(str(path.parent) for path in found[:3])}"
