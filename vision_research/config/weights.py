"""Finds the initial weights of a training."""

from __future__ import annotations

from vision_research.config.addresses import RUNS_SCHEME, absolute
from vision_research.config.errors import ConfigError
from vision_research.config.model_index import published_weights
from vision_research.config.schema import TrainConfig


def weights_file(config: TrainConfig) -> str | None:
    """Return the location of the whole detector's initial weights.

    Returns:
        An absolute path, an address (`https://`, `s3://`) or `runs:/ID`; None for `none` and `backbone`.

    Raises:
        ConfigError: `model.weights=coco`, and MMDetection's model index has no checkpoint of this detector.
    """
    weights = config.model.get("weights")
    if weights == "coco":
        return _published(config)
    if not isinstance(weights, str) or weights in ("none", "backbone"):
        return None
    if weights.startswith(("http://", "https://", RUNS_SCHEME)):
        return weights
    return absolute(weights) if weights.endswith((".pth", ".pt", ".ckpt")) else None


def _published(config: TrainConfig) -> str:
    name = (config.model.get("recipe") or {}).get("zoo")
    address = None if name is None else published_weights(str(name))
    if address is None:
        raise ConfigError(
            f"model.weights=coco: MMDetection's model index names no checkpoint of {name or config.model.get('type')}. "
            "Type model.weights=backbone, or a checkpoint"
        )
    return address
