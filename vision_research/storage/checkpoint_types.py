"""Reads MMEngine checkpoints without running what is in them.

Since torch 2.6 `torch.load` refuses every type it does not know, MMEngine's own `HistoryBuffer` among them. The few
types that MMEngine writes are allowed here, by name; nothing else is ever unpickled unless the person says so.
Knows the file, not what its weights belong to.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from vision_research.config.errors import UserError


class CheckpointError(UserError):
    """A checkpoint that is absent, truncated, unsafe or no MMEngine checkpoint at all."""


def allow_checkpoint_types() -> None:
    """Allow `torch.load(weights_only=True)` the types that MMEngine's own checkpoints hold. Idempotent."""
    import numpy as np
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    scalars = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_, np.str_)
    # What numpy calls to rebuild an array and a scalar, asked of numpy itself: its module is private, and numpy 1 and 2
    # spell it differently, so a file may hold either name.
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
        path: a file written by MMEngine's runner, or a published one of the model zoo.
        trust: unpickle anything in the file, which runs code that the file brings; only for files of known origin.
        remedy: what to type where it holds more than that.

    Returns:
        The checkpoint; `state_dict` holds the weights (the averaged ones where EMA was on: MMEngine's EMAHook swaps
        them in before it saves) and `meta` what MMEngine recorded.

    Raises:
        CheckpointError: the file is absent, truncated, holds types that are not allowed, or has no `state_dict`.
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
    """The one use that MMEngine makes of getattr: to name a statistic of HistoryBuffer. A free one would be a hole."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in {"min", "max", "current", "mean"}:
        raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r})")
    return getattr(HistoryBuffer, name)


def _refusal(path: Path, error: pickle.UnpicklingError) -> str:
    import torch

    try:
        refused = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except (RuntimeError, ValueError, pickle.UnpicklingError):
        # Not a zip archive: the old format or no checkpoint; torch's own words are all there is.
        refused = []
    named = ", ".join(refused) if refused else _first_line(error)
    return f"{path} holds more than weights and MMEngine's own records, and was not unpickled: {named}."


def _first_sentence(error: BaseException) -> str:
    """Without the advice that torch gives those who wrote the file themselves."""
    return _first_line(error).partition(". ")[0] + "."


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
