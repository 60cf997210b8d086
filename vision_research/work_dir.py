"""Names every file of a run. The only place that spells them; imports nothing of ours."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESUMABLE_PATTERNS = ("epoch_*.pth", "iter_*.pth")
"""Checkpoints that a training can go on from."""

CHECKPOINT_PATTERNS = (*RESUMABLE_PATTERNS, "best_*.pth")
"""All checkpoints; the best ones are saved without the optimizer."""


@dataclass(frozen=True)
class WorkDir:
    """The folder of one run: from `config.py` on, it is the only input of every later step.

    Attributes:
        root: the folder itself, absolute.
    """

    root: Path

    @property
    def config_yaml(self) -> Path:
        """The composed Hydra tree, resolved, as the person would type it."""
        return self.root / "config.yaml"

    @property
    def config_py(self) -> Path:
        """The MMEngine config; stock MMDetection `tools/train.py` runs it too."""
        return self.root / "config.py"

    @property
    def overrides(self) -> Path:
        """What was typed, one override a line."""
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
        """`pip freeze` of the environment that ran."""
        return self.root / "environment.txt"

    @property
    def s3_folder(self) -> Path:
        """One line: the address in S3 at which a copy of the folder is kept; absent where none is."""
        return self.root / "s3_folder.txt"

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that define the run and its record: what a machine needs, beside a checkpoint, to go on with it."""
        defining = (self.config_yaml, self.overrides, self.launch_json, self.environment, self.run_json)
        return (*defining, self.s3_folder, self.config_py)

    @property
    def spool(self) -> Path:
        """Folder of the records that wait to be delivered to MLflow."""
        return self.root / "spool"

    @property
    def log(self) -> Path:
        """Everything the ranks printed, in plain lines."""
        return self.root / "train.log"

    @property
    def stop_request(self) -> Path:
        """Present while a graceful stop is asked for: ranks save a checkpoint and leave."""
        return self.root / "stop_request"

    @property
    def outcome(self) -> Path:
        """Written by rank 0 (or a failing rank): how the training ended, as JSON."""
        return self.root / "outcome.json"

    @property
    def owner_lock(self) -> Path:
        """Locked (flock) by the one command that is running in this folder."""
        return self.root / ".lock"

    @property
    def skipped_images(self) -> Path:
        """One line a training image that could not be decoded and was left out."""
        return self.root / "skipped_images.txt"

    @property
    def last_checkpoint(self) -> Path:
        """MMEngine's pointer: the path of the newest checkpoint."""
        return self.root / "last_checkpoint"

    @property
    def export_dir(self) -> Path:
        """Exported models, each with its manifest beside it."""
        return self.root / "export"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

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
        # mkstemp makes files that only the owner reads; a run is shared with the team.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
