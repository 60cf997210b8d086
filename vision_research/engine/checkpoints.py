"""Finds the checkpoints of a run, and tells whole ones from those cut short by a crash. Runs nothing of theirs."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from vision_research.config.errors import UserError
from vision_research.storage.checkpoint_types import allow_checkpoint_types


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint and where in the training it was made.

    Attributes:
        path: the file.
        epoch: epochs done.
        iteration: iterations done.
        score: best value of the watched metric up to then; None where nothing was validated.
    """

    path: Path
    epoch: int
    iteration: int
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Resumable:
    """What a training can go on from.

    Attributes:
        path: the newest checkpoint that is whole.
        epoch: epochs done.
        iteration: iterations done.
        broken: newer or older checkpoints that are not whole, to be reported.
    """

    path: Path
    epoch: int
    iteration: int
    broken: tuple[Path, ...] = ()

    @property
    def warning(self) -> str | None:
        """One line about the broken ones, for the person who resumes."""
        if not self.broken:
            return None
        names = ", ".join(path.name for path in self.broken)
        return f"{names}: truncated by a crash, or damaged since; taking {self.path.name} (iteration {self.iteration})"


def find_resumable(work_dir: Path) -> Resumable:
    """Return the whole checkpoint with the most iterations.

    Best checkpoints (`best_*.pth`) do not count: they are saved without the optimizer.

    Args:
        work_dir: folder of the run.

    Raises:
        UserError: there is none.
    """
    files = sorted(work_dir.glob("epoch_*.pth")) + sorted(work_dir.glob("iter_*.pth"))
    read = {path: _read(path) for path in files}
    broken = [path for path, checkpoint in read.items() if checkpoint is None]
    whole = sorted(
        (found for found in read.values() if found is not None), key=lambda found: found.iteration, reverse=True
    )
    for checkpoint in whole:
        # Reading every byte of every checkpoint takes minutes in a large folder; the newest one is nearly always good.
        if _intact(checkpoint.path):
            return Resumable(checkpoint.path, checkpoint.epoch, checkpoint.iteration, tuple(broken))
        broken.append(checkpoint.path)
    found = f"only broken ones: {', '.join(path.name for path in broken)}" if broken else "no epoch_*.pth or iter_*.pth"
    raise UserError(
        f"Nothing to resume from in {work_dir} ({found}).\nStart anew: leave out resume, or type resume=false."
    )


def describe_checkpoints(work_dir: Path) -> dict[str, dict[str, Any] | None]:
    """Describe the best and the last checkpoint of a run for its record.

    Returns:
        `best` and `last`, each with `path`, `epoch`, `iteration` and `score`, or None where there is none.
    """
    best = [found for path in work_dir.glob("best_*.pth") if (found := _read(path)) is not None]
    last = [
        found
        for path in (*work_dir.glob("epoch_*.pth"), *work_dir.glob("iter_*.pth"))
        if (found := _read(path)) is not None
    ]
    described = {"best": best, "last": last}
    return {
        name: max(found, key=lambda checkpoint: checkpoint.iteration).to_json() if found else None
        for name, found in described.items()
    }


def _read(path: Path) -> Checkpoint | None:
    """Return what a checkpoint says of itself, without reading its tensors; None if it is damaged.

    Raises:
        UserError: it is whole, but holds types that are not allowed.
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
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} was not written by a training of ours and is not unpickled ({reason}): move it away."
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError):
        return None


def _intact(path: Path) -> bool:
    """Compare every byte with the checksums that torch.save has put into the file (a zip archive)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
        return False
