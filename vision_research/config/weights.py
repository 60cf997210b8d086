"""Finds the initial weights of a training."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from vision_research.config.addresses import RUNS_SCHEME, absolute
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.config.zoo import zoo_folder


def published_entry(name: str) -> dict[str, Any]:
    """Return the entry of a zoo config in MMDetection's model index (`Metadata`, `Results`, `Weights`), or {}."""
    family = name.partition("/")[0]
    return _family(family).get(f"configs/{name}.py", {})


@cache
def _family(family: str) -> dict[str, dict[str, Any]]:
    file = zoo_folder() / family / "metafile.yml"
    if not file.is_file():
        return {}
    # libyaml's loader is ten times as fast, but some builds of PyYAML lack it.
    tree = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    models = tree.get("Models", []) if isinstance(tree, dict) else []
    return {str(model["Config"]): model for model in models}


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
    name = config.model_recipe.get("zoo")
    if name is None or (address := published_entry(name).get("Weights")) is None:
        raise ConfigError(
            f"model.weights=coco: MMDetection's model index names no checkpoint of {name or config.model.get('type')}. "
            "Type model.weights=backbone, or a checkpoint"
        )
    return str(address)
