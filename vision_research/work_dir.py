"""The paths of all files of a run; no other module spells their names."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESUMABLE_PATTERNS = ("epoch_*.pth", "iter_*.pth")
"""Checkpoints that a training can resume from."""

CHECKPOINT_PATTERNS = (*RESUMABLE_PATTERNS, "best_*.pth")
"""All checkpoints; the best ones are saved without the optimizer."""


@dataclass(frozen=True)
class WorkDir:
    """The folder of one run, which all steps after its preparation read.

    Attributes:
        root: the folder itself, absolute.
    """

    root: Path

    @property
    def config_yaml(self) -> Path:
        """The composed and resolved Hydra config."""
        return self.root / "config.yaml"

    @property
    def config_py(self) -> Path:
        """The MMEngine config, which MMDetection's own `tools/train.py` can run too."""
        return self.root / "config.py"

    @property
    def overrides(self) -> Path:
        """The overrides of the command, one a line."""
        return self.root / "overrides.txt"

    @property
    def launch_json(self) -> Path:
        """The LaunchPlan: the exact torchrun command and its environment."""
        return self.root / "launch.json"

    @property
    def run_json(self) -> Path:
        """The tracked run: MLflow run id, experiment, tracking address."""
        return self.root / "run.json"

    @property
    def environment(self) -> Path:
        """The installed packages, as `pip freeze` lists them."""
        return self.root / "environment.txt"

    @property
    def s3_folder(self) -> Path:
        """One line: the address of the folder's copy in S3; missing where there is none."""
        return self.root / "s3_folder.txt"

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that, with a checkpoint, are needed to resume the run and its MLflow record."""
        defining = (self.config_yaml, self.overrides, self.launch_json, self.environment, self.run_json)
        return (*defining, self.s3_folder, self.config_py)

    @property
    def spool(self) -> Path:
        """Folder of the records that are not yet delivered to MLflow."""
        return self.root / "spool"

    @property
    def log(self) -> Path:
        """Everything the ranks printed, in plain lines."""
        return self.root / "train.log"

    @property
    def stop_request(self) -> Path:
        """Exists while a graceful stop is requested: the ranks save a checkpoint and exit."""
        return self.root / "stop_request"

    @property
    def outcome(self) -> Path:
        """How the training ended, as JSON; written by rank 0 or a failing rank."""
        return self.root / "outcome.json"

    @property
    def owner_lock(self) -> Path:
        """Locked (flock) by the command that is running in this folder."""
        return self.root / ".lock"

    @property
    def skipped_images(self) -> Path:
        """The training images that could not be decoded, one a line."""
        return self.root / "skipped_images.txt"

    @property
    def last_checkpoint(self) -> Path:
        """MMEngine's file with the path of the newest checkpoint."""
        return self.root / "last_checkpoint"

    @property
    def export_dir(self) -> Path:
        """Exported models and their manifests."""
        return self.root / "export"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees either the old or the new content.

    Args:
        path: target; its folder must exist.
        content: text (written as UTF-8) or bytes.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # Files of mkstemp are readable only by their owner; a run is shared.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: target; its folder must exist.
        value: of types that `json` supports.
    """
    write_atomic(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
