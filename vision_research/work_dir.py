"""The paths of all files of a run; no other module spells their names."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What tempfile makes of a prefix: eight letters, digits and underscores behind it.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")

OWNER = "VISION_RESEARCH_OWNER"
"""Environment variable of the ranks: the number of the command that started them, in its folder."""

RESUMABLE_PATTERNS = ("epoch_*.pth", "iter_*.pth")
"""Checkpoints that a training can resume from."""

BEST_PATTERN = "best_*.pth"
"""The best checkpoints, which are saved without the optimizer."""

CHECKPOINT_PATTERNS = (BEST_PATTERN, *RESUMABLE_PATTERNS)
"""All checkpoints."""


class _Inside:
    """A file or folder of a run: an attribute of `WorkDir` that is its path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, work_dir: WorkDir, owner: type) -> Path:
        return work_dir.root / self._name


@dataclass(frozen=True)
class WorkDir:
    """The folder of one run, which all steps after its preparation read.

    Attributes:
        root: the folder itself, absolute.
    """

    root: Path

    config_yaml = _Inside("config.yaml")
    """The composed and resolved Hydra config."""
    config_py = _Inside("config.py")
    """The MMEngine config, which MMDetection's own `tools/train.py` can run too."""
    overrides = _Inside("overrides.txt")
    """The overrides of the command, one a line."""
    launch_json = _Inside("launch.json")
    """The LaunchPlan: the exact torchrun command and its environment."""
    run_json = _Inside("run.json")
    """The tracked run: MLflow run id, experiment, tracking address."""
    environment = _Inside("environment.txt")
    """The installed packages, as `pip freeze` lists them."""
    s3_folder = _Inside("s3_folder.txt")
    """One line: the address of the folder's copy in S3; missing where there is none."""
    spool = _Inside("spool")
    """Folder of the records that are not yet delivered to MLflow."""
    log = _Inside("train.log")
    """Everything the ranks printed, in plain lines."""
    stop_request = _Inside("stop_request")
    """Exists while a graceful stop is requested: the ranks save a checkpoint and exit."""
    outcome = _Inside("outcome.json")
    """How the training ended, as JSON; written by rank 0 or a failing rank."""
    rank_failure = _Inside("rank_failure.json")
    """`rank` and `exitcode` of the rank that failed first, written by `vision_research.torchrun`."""
    owner_lock = _Inside(".lock")
    """Locked (flock) by the command that is running in this folder; holds the number of commands so far."""
    events = _Inside("events.jsonl")
    """Rare events of the training, a JSON object a line."""
    skipped_images = _Inside("skipped_images.txt")
    """The training images that could not be decoded, one a line."""
    last_checkpoint = _Inside("last_checkpoint")
    """MMEngine's file with the path of the newest checkpoint."""
    export_dir = _Inside("export")
    """Exported models and their manifests."""

    @property
    def export_outcome(self) -> Path:
        """How the export ended, as JSON; written by the export process."""
        return self.export_dir / "outcome.json"

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that, with a checkpoint, are needed to resume the run and its MLflow record."""
        defining = (self.config_yaml, self.overrides, self.launch_json, self.environment, self.run_json)
        return (*defining, self.s3_folder, self.config_py)

    @property
    def owner(self) -> int:
        """The number of the last command that ran in this folder, from 1 on; 0 without any."""
        text = self.owner_lock.read_text() if self.owner_lock.is_file() else ""
        return int(text) if text.isdecimal() else 0

    def by_age(self, patterns: Sequence[str]) -> list[Path]:
        """List the files of the folder that match a pattern, oldest first; one that is removed meanwhile is the oldest.

        Args:
            patterns: such as `RESUMABLE_PATTERNS`.
        """
        found = [path for pattern in patterns for path in self.root.glob(pattern)]
        return sorted(found, key=lambda path: path.stat().st_mtime if path.exists() else 0.0)

    @property
    def s3_address(self) -> str | None:
        """The address of the folder's copy in S3, or None."""
        return self.s3_folder.read_text(encoding="utf-8").strip() if self.s3_folder.is_file() else None


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


def remove_temporaries(folder: Path) -> int:
    """Remove the unfinished files of `write_atomic` that killed processes left in a folder, and return their number.

    Args:
        folder: no process may be writing in it.
    """
    left = [path for path in folder.glob(".*") if _TEMPORARY.fullmatch(path.name) and path.is_file()]
    for path in left:
        path.unlink()
    return len(left)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: target; its folder must exist.
        value: of types that `json` supports.
    """
    write_atomic(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if the file is missing or cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
