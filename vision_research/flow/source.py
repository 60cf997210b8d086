"""Finds config, weights and results folder for a command on a finished run, and the initial weights of a training."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.config.addresses import RUNS_SCHEME, is_s3
from vision_research.config.code_check import TRUST_CONFIG, code_in_config
from vision_research.config.command_schema import SourceConfig
from vision_research.config.errors import ConfigError
from vision_research.config.schema import Tracker, TrackingConfig, TrainConfig
from vision_research.flow.from_s3 import fetch_run
from vision_research.lowering.model import pretrained_parts
from vision_research.ops.mmcv_ext.choice import select
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.typed_files import local_config, local_file
from vision_research.tracking.uri import resolve_uri
from vision_research.work_dir import CHECKPOINT_PATTERNS, WorkDir

logger = logging.getLogger(__name__)

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
        iteration: training iteration of the weights; 0 where it is not known.
        work_dir: folder of the run; None for a bare checkpoint.
        folder: results folder of a bare checkpoint.
    """

    config: Path
    checkpoint: Path
    iteration: int = 0
    work_dir: WorkDir | None = None
    folder: Path | None = None

    def recorded_in(self, tracking: TrackingConfig) -> WorkDir | None:
        """The folder of the tracked run to which results are added; None without one, or with `tracking=none`."""
        return self.work_dir if self.run_id is not None and tracking.kind is not Tracker.none else None

    @property
    def export_dir(self) -> Path:
        """Default folder of its exported models."""
        return (self.work_dir or WorkDir(self.folder or self.checkpoint.parent)).export_dir

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run, or None."""
        return None if self.work_dir is None else run_id_of(self.work_dir)

    @property
    def run_data(self) -> dict[str, Any]:
        """The `data` group that the run was trained with; empty for a bare checkpoint."""
        if self.work_dir is None or not self.work_dir.config_yaml.is_file():
            return {}
        from vision_research.config.compose import read_yaml

        return dict(read_yaml(self.work_dir.config_yaml).get("data") or {})


def run_id_of(work_dir: WorkDir) -> str | None:
    """Return MLflow's id of the run in a folder, or None without one."""
    return str(json.loads(work_dir.run_json.read_text())["run_id"]) if work_dir.run_json.is_file() else None


def configure_s3(command: SourceConfig) -> None:
    """Apply the `storage` group, before the first address in S3 is read."""
    begin_run(S3Settings(**command.storage.s3_settings))


def find_source(command: SourceConfig) -> Source:
    """Find the config and weights of a command's detector; a run in MLflow or in S3 is downloaded.

    Raises:
        ConfigError: no detector is given, or its run, config or checkpoint does not exist.
        EnvironmentProblem: MLflow does not answer.
        S3Error: reading from S3 failed.
    """
    configure_s3(command)
    select(command.ops.value)
    checkpoint = None if command.checkpoint is None else local_file("checkpoint", command.checkpoint)
    if command.run is None:
        if checkpoint is None and command.config is None:
            raise ConfigError(NO_SOURCE)
        if checkpoint is None or command.config is None:
            lacking = "config" if command.config is None else "checkpoint"
            raise ConfigError(
                f"{lacking} is not set: a bare checkpoint needs its config. Type {lacking}=FILE, or run=..."
            )
        # The folder of the checkpoint; for one in S3, a folder of its name in `storage.runs`.
        runs = Path(command.storage.runs).absolute()
        folder = runs / checkpoint.stem if is_s3(command.checkpoint) else checkpoint.parent
        config = local_config(command.config)
        _require_data(f"config={command.config}", config, trust=command.trust_config or not is_s3(command.config))
        return Source(config, checkpoint, folder=folder)
    if command.config is not None:
        raise ConfigError(
            f"config={command.config} with run={command.run}: a run has its own config. Leave one of them out"
        )
    work_dir = _work_dir(command)
    is_fetched = command.run.startswith(RUNS_SCHEME) or is_s3(command.run)
    _require_data(f"run={command.run}", work_dir.config_py, trust=command.trust_config or not is_fetched)
    if checkpoint is not None:
        return Source(work_dir.config_py, checkpoint, work_dir=work_dir)
    path, iteration = best_checkpoint(work_dir, command.run)
    return Source(work_dir.config_py, path, iteration, work_dir)


def _require_data(typed: str, config: Path, *, trust: bool) -> None:
    """Refuse a config that was fetched from elsewhere and can run code, before MMEngine loads it."""
    if not trust and (reason := code_in_config(config.read_text(encoding="utf-8", errors="replace"))):
        raise ConfigError(f"{typed}: its {config.name} can run code ({reason}). {TRUST_CONFIG}")


def best_checkpoint(work_dir: WorkDir, typed: str) -> tuple[Path, int]:
    """Find the best checkpoint of a run, or the newest where there was no validation.

    Args:
        work_dir: folder of the run; it may have been moved.
        typed: the run as it was typed, for messages.

    Returns:
        The file, and its training iteration; 0 where it is not known.

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


def _downloaded_run(typed: str, config: SourceConfig | TrainConfig) -> WorkDir:
    """Download a run from MLflow (`runs:/ID`) as a work_dir."""
    from vision_research.tracking.download import download_run

    uri = resolve_uri(config.tracking.uri, Path.cwd())
    run_id = typed.removeprefix(RUNS_SCHEME).strip("/")
    return WorkDir(download_run(run_id, uri, config.tracking.timeout_s, Path(config.storage.runs).absolute()))


def _work_dir(command: SourceConfig) -> WorkDir:
    assert command.run is not None
    if command.run.startswith(RUNS_SCHEME):
        return _downloaded_run(command.run, command)
    if is_s3(command.run):
        return WorkDir(fetch_run("run", command.run, command.storage.runs, S3Settings(**command.storage.s3_settings)))
    work_dir = WorkDir(Path(command.run).absolute())
    if not work_dir.config_py.is_file():
        raise ConfigError(f"run={command.run}: there is no run in it (no config.py). {_existing_runs(command)}")
    return work_dir


def _existing_runs(command: SourceConfig) -> str:
    folder = Path(command.storage.runs)
    found = sorted(folder.glob("*/config.py"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not found:
        return "Type the work_dir of a run, or run=runs:/ID"
    return f"Type run=WORK_DIR; the newest in {folder} are {', '.join(str(path.parent) for path in found[:3])}"


def fetch_weights(config: TrainConfig, mmengine: dict[str, Any]) -> None:
    """Download the weights of `model.weights`, and write their paths into the lowered config.

    Args:
        config: the run.
        mmengine: the lowered config, changed in place: `load_from` and the `Pretrained` parts of the model become files
            or addresses that MMEngine can read.

    Raises:
        ConfigError: there is no such run in MLflow.
        EnvironmentProblem: a file is missing or cannot be downloaded.
    """
    from vision_research.detectors.pretrained import ensure_pretrained, ensure_weights

    typed = f"model.weights={config.model.get('weights')}"
    whole = mmengine["load_from"]
    if whole is not None and whole.startswith(RUNS_SCHEME):
        work_dir = _downloaded_run(whole, config)
        mmengine["load_from"] = str(best_checkpoint(work_dir, whole)[0])
    elif whole is not None:
        file = ensure_weights(whole, typed)
        # MMEngine reads addresses in S3 by our back end.
        mmengine["load_from"] = whole if is_s3(whole) else str(file)
    if (teacher := mmengine["model"].get("teacher_ckpt")) is not None:
        # The teacher is another detector than the trained one, so `model.weights` does not concern it.
        file = ensure_weights(teacher, "model.teacher_ckpt", without="model.teacher_ckpt=null")
        mmengine["model"]["teacher_ckpt"] = teacher if is_s3(teacher) else str(file)
    for init_cfg in pretrained_parts(mmengine["model"]):
        # For `torchvision://` MMEngine itself would import torchvision in every rank.
        init_cfg["checkpoint"] = ensure_pretrained(init_cfg["checkpoint"], typed)
