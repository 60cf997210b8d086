"""Finds the checkpoints of a run and tells whole ones from truncated ones, without running code from them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from vision_research.config.errors import UserError
from vision_research.storage.checkpoint_types import allow_checkpoint_types, refused_type
from vision_research.work_dir import BEST_PATTERN, RESUMABLE_PATTERNS


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint and the point of the training at which it was saved.

    Attributes:
        path: the file.
        epoch: epochs done.
        iteration: iterations done.
        score: best value of the monitored metric up to then; None without a validation.
    """

    path: Path
    epoch: int
    iteration: int
    score: float | None = None


@dataclass(frozen=True)
class Resumable(Checkpoint):
    """The newest whole checkpoint of a run, from which the training can be resumed.

    Attributes:
        broken: other checkpoints, which are not whole.
    """

    broken: tuple[Path, ...] = ()

    @property
    def warning(self) -> str | None:
        """One line about the broken ones, for the person who resumes."""
        if not self.broken:
            return None
        names = ", ".join(path.name for path in self.broken)
        return f"{names}: truncated by a crash, or damaged since; taking {self.path.name} (iteration {self.iteration})"


def training_checkpoints(work_dir: Path) -> list[Path]:
    """List the checkpoints that a training can resume from; best ones are saved without the optimizer."""
    return [path for pattern in RESUMABLE_PATTERNS for path in sorted(work_dir.glob(pattern))]


def find_resumable(work_dir: Path) -> Resumable:
    """Return the whole checkpoint with the most iterations.

    Raises:
        UserError: there is none.
    """
    read = {path: _read(path) for path in training_checkpoints(work_dir)}
    broken = [path for path, checkpoint in read.items() if checkpoint is None]
    readable = [checkpoint for checkpoint in read.values() if checkpoint is not None]
    for checkpoint in sorted(readable, key=lambda one: one.iteration, reverse=True):
        # Reading every byte of every checkpoint takes minutes in a large folder; the newest one is nearly always good.
        if _is_intact(checkpoint.path):
            return Resumable(**vars(checkpoint), broken=tuple(broken))
        broken.append(checkpoint.path)
    found = f"only broken ones: {', '.join(path.name for path in broken)}" if broken else "no epoch_*.pth or iter_*.pth"
    raise UserError(
        f"Nothing to resume from in {work_dir} ({found}).\nStart anew: leave out resume, or type resume=false."
    )


def describe_checkpoints(work_dir: Path) -> dict[str, dict[str, Any] | None]:
    """Describe the `best` and the `last` checkpoint of a run by `path`, `epoch`, `iteration` and `score`, or None."""
    described: dict[str, dict[str, Any] | None] = {}
    for name, files in (("best", work_dir.glob(BEST_PATTERN)), ("last", training_checkpoints(work_dir))):
        found = [checkpoint for path in files if (checkpoint := _read(path)) is not None]
        newest = max(found, key=lambda checkpoint: checkpoint.iteration, default=None)
        described[name] = None if newest is None else {**asdict(newest), "path": str(newest.path)}
    return described


def _read(path: Path) -> Checkpoint | None:
    """Read the position and score of a checkpoint, not its tensors; None if it is damaged.

    Raises:
        UserError: it holds types that are not allowed.
    """
    if not zipfile.is_zipfile(path):
        return None
    allow_checkpoint_types()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        meta, info = content["meta"], content.get("message_hub", {}).get("runtime_info", {})
        score = info.get("best_score")
        return Checkpoint(path, int(meta["epoch"]), int(meta["iter"]), None if score is None else float(score))
    except UnpicklingError as error:
        raise UserError(
            f"{path} was not written by a training of ours and is not unpickled ({refused_type(error)}): move it away."
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError):
        return None


def _is_intact(path: Path) -> bool:
    """Compare every byte with the checksums in the file, which is a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
        return False
