"""Loads the weights of a checkpoint into a built detector, and refuses those of another detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_research.config.errors import UserError

# Number of keys that an error message lists.
_NUM_NAMED = 3


class WeightsError(UserError):
    """A checkpoint does not belong to the detector."""


@dataclass(frozen=True)
class WeightsMatch:
    """How the weights of a file fit a detector.

    Attributes:
        fitting: tensors of the same name and shape.
        missing: names that the file lacks.
        unexpected: names that the detector lacks.
        reshaped: name, shape in the file and shape in the detector, where these differ.
    """

    fitting: dict[str, Any]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, str, str], ...]


def match_weights(expected: Mapping[str, Any], given: Mapping[str, Any]) -> WeightsMatch:
    """Compare the state dict of a detector with that of a file, name by name.

    Args:
        expected: state dict of the detector.
        given: state dict of the file; prefixes of data-parallel and compiled modules are removed.
    """
    weights = {key.removeprefix("module.").replace("_orig_mod.", ""): value for key, value in given.items()}
    shared = [key for key in expected if key in weights]
    return WeightsMatch(
        fitting={key: weights[key] for key in shared if weights[key].shape == expected[key].shape},
        missing=tuple(key for key in expected if key not in weights),
        unexpected=tuple(key for key in weights if key not in expected),
        reshaped=tuple(
            (key, _shape(weights[key]), _shape(expected[key]))
            for key in shared
            if weights[key].shape != expected[key].shape
        ),
    )


def load_weights(detector: Any, checkpoint: Mapping[str, Any], classes: Sequence[str], origin: str) -> None:
    """Load weights; the checkpoint must have exactly the tensors of the detector.

    With EMA, MMEngine's EMAHook saves the averaged weights in `state_dict`, and the raw ones in `ema_state_dict`. So
    `state_dict` always contains the weights that were validated.

    Args:
        detector: built by MMDetection.
        checkpoint: as MMEngine's runner saves it.
        classes: of the data set in the config, in the order of the labels.
        origin: name of the checkpoint in messages.

    Raises:
        WeightsError: the checkpoint was trained on other classes, or has weights of another architecture.
    """
    _check_classes(checkpoint, classes, origin)
    expected = detector.state_dict()
    match = match_weights(expected, checkpoint["state_dict"])
    problems = [
        *_named("it lacks", match.missing),
        *_named("it has besides", match.unexpected),
        *_named("of another shape are", [f"{key} ({was} instead of {now})" for key, was, now in match.reshaped]),
    ]
    if problems:
        raise WeightsError(
            f"{origin} is not a checkpoint of the config's {type(detector).__name__}: {'; '.join(problems)}. "
            "Export with the config.py that lies beside the checkpoint."
        )
    detector.load_state_dict(match.fitting)


def _check_classes(checkpoint: Mapping[str, Any], classes: Sequence[str], origin: str) -> None:
    meta = checkpoint.get("meta", {}).get("dataset_meta", {})
    trained = meta.get("classes", meta.get("CLASSES"))
    if trained is not None and list(trained) != list(classes):
        raise WeightsError(
            f"{origin} was trained on the classes {', '.join(map(str, trained))}, but the config's data set has "
            f"{', '.join(classes)}: labels would be named wrongly. Export with the config.py beside the checkpoint."
        )


def _named(what: str, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _NUM_NAMED} more" if len(keys) > _NUM_NAMED else ""
    return [f"{what} {', '.join(keys[:_NUM_NAMED])}{more}"]


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
