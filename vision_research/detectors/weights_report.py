"""Reports which weights of a checkpoint a training starts from."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.detectors.weights import WeightsMatch, match_weights
from vision_research.storage.checkpoint_types import load_checkpoint_safely

# Most rows of one kind in the table.
SHOWN = 6
UNSAFE = (
    "Training never unpickles more than that: save its state_dict alone, once, on a machine where it may run "
    "(torch.save({'state_dict': ...}, FILE)), and type model.weights=FILE"
)


def weights_report(detector: Any, load_from: str, classes: tuple[str, ...]) -> str:
    """Compare a checkpoint with the detector that starts from it; MMEngine itself loads what fits and reports little.

    Args:
        detector: as it was built.
        load_from: a file, or an address in S3.
        classes: of the data, in the order of the labels; empty where the config does not contain them.

    Returns:
        A table: the number of loaded tensors, and the tensors that are missing, unexpected or of another shape.

    Raises:
        ConfigError: no tensor fits.
        CheckpointError: the file is missing, truncated, or contains more than weights.
    """
    checkpoint = _read(load_from)
    expected = detector.state_dict()
    match = match_weights(expected, _for_both(detector, checkpoint["state_dict"]))
    if not match.fitting:
        given = next(iter(checkpoint["state_dict"]), "nothing")
        raise ConfigError(
            f"model.weights: nothing in {load_from} fits {type(detector).__name__}: it holds {given} and so on, and "
            f"{next(iter(expected))} and so on is wanted. Type model=OPTION of the detector that it belongs to"
        )
    head = f"starting from {load_from}: {len(match.fitting)} of {len(expected)} tensors"
    return "\n".join([head, *_rows(match), *_renamed(match, checkpoint, classes)])


def _read(load_from: str) -> dict[str, Any]:
    if not is_s3(load_from):
        return load_checkpoint_safely(Path(load_from), remedy=UNSAFE)
    from mmengine.runner import CheckpointLoader

    try:
        checkpoint: dict[str, Any] = CheckpointLoader.load_checkpoint(load_from, map_location="cpu", logger="silent")
    except pickle.UnpicklingError as error:
        raise ConfigError(f"model.weights={load_from}: holds more than weights. {UNSAFE}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ConfigError(f"model.weights={load_from}: holds no 'state_dict': it is not a checkpoint")
    return checkpoint


def _for_both(detector: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Duplicate the weights of a single detector for a teacher and a student, as MMDetection does."""
    is_pair = hasattr(detector, "teacher") and hasattr(detector, "student")
    if not is_pair or any("teacher" in name or "student" in name for name in given):
        return given
    return {f"{part}.{name}": value for part in ("teacher", "student") for name, value in given.items()}


def _rows(match: WeightsMatch) -> Iterator[str]:
    kinds = {
        "other shape": [f"{name}  {was} in the file, {now} here" for name, was, now in match.reshaped],
        "missing": list(match.missing),
        "unexpected": list(match.unexpected),
    }
    for kind, lines in kinds.items():
        yield from (f"  {kind:<12}{line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  {kind:<12}and {len(lines) - SHOWN} more"
    if match.reshaped or match.missing:
        yield "  what is missing or of another shape starts as a new detector's (the class heads, where classes differ)"


def _renamed(match: WeightsMatch, checkpoint: dict[str, Any], classes: tuple[str, ...]) -> Iterator[str]:
    meta = checkpoint.get("meta", {}).get("dataset_meta") or {}
    trained = meta.get("classes", meta.get("CLASSES"))
    if trained is not None and classes and not match.reshaped and tuple(trained) != classes:
        yield f"  its classes were {', '.join(map(str, trained))}; the same outputs now mean {', '.join(classes)}"
