"""Reads MMEngine checkpoints without running code that they may contain."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

from vision_research.config.errors import UserError


class CheckpointError(UserError):
    """A checkpoint that is absent, truncated, unsafe, or not a checkpoint of MMEngine."""


def allow_checkpoint_types() -> None:
    """Let `torch.load(weights_only=True)` accept the types that MMEngine's own checkpoints contain. Idempotent."""
    import numpy as np
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    scalars = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_, np.str_)
    # The functions with which numpy rebuilds an array and a scalar. Their module is private and has different names in
    # numpy 1 and 2, so a file may contain either name.
    rebuilds = {"_reconstruct": np.zeros(1).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
    renamed: list[tuple[Any, str]] = [
        (rebuild, f"numpy.{core}.multiarray.{name}") for name, rebuild in rebuilds.items() for core in ("core", "_core")
    ]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.ndarray,
            np.dtype,
            *scalars,
            *{type(np.dtype(scalar)) for scalar in scalars},
            *renamed,
            (_statistics_method, "builtins.getattr"),
        ]
    )


TRUST = "If you know where it comes from, allow it with trust_checkpoint=true."


def load_checkpoint_safely(path: Path, trust: bool = False, *, remedy: str = TRUST) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Args:
        path: a file that MMEngine's runner wrote, or a published one of the model zoo.
        trust: unpickle everything in the file, which runs code that it contains; only for files of known origin.
        remedy: end of the error message: what to type if the file contains more than the allowed types.

    Returns:
        The checkpoint. `state_dict` holds the weights, with EMA the averaged ones (MMEngine's EMAHook swaps them in
        before it saves); `meta` holds what MMEngine recorded.

    Raises:
        CheckpointError: the file is absent or truncated, contains types that are not allowed, or has no `state_dict`.
    """
    import torch

    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}.")
    allow_checkpoint_types()
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{_refusal(path, error)} {remedy}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read, it is truncated or no checkpoint: {_first_sentence(error)}"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} holds no 'state_dict': it is not a checkpoint of MMEngine's runner.")
    return checkpoint


def _statistics_method(owner: Any, name: str) -> Any:
    """Replace `getattr` in a checkpoint: return a statistic of HistoryBuffer and nothing else."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in {"min", "max", "current", "mean"}:
        raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r})")
    return getattr(HistoryBuffer, name)


def _refusal(path: Path, error: pickle.UnpicklingError) -> str:
    import torch

    try:
        refused = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except (RuntimeError, ValueError, pickle.UnpicklingError):
        # Not a zip archive: a checkpoint in the old format, or none. Only torch's own message is available.
        refused = []
    named = ", ".join(refused) if refused else refused_type(error)
    return f"{path} holds more than weights and MMEngine's own records, and was not unpickled: {named}."


def refused_type(error: pickle.UnpicklingError) -> str:
    """Return what torch refused, without its advice to unpickle the file all the same."""
    found = re.search(r"(?:GLOBAL|global) `?([\w.]+)`?", str(error))
    return found[1] if found else "it is in torch's old format"


def _first_sentence(error: BaseException) -> str:
    """Return the message without torch's advice, which is for people who wrote the file themselves."""
    return _first_line(error).partition(". ")[0] + "."


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
