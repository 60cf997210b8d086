"""Reads MMDetection's model index: the published results and checkpoints of zoo configs."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from vision_research.config.zoo import zoo_folder


def published_weights(name: str) -> str | None:
    """Return the https address of the checkpoint of a zoo config (`<family>/<config>`); None where there is none."""
    address = published_entry(name).get("Weights")
    return None if address is None else str(address)


def published_entry(name: str) -> dict[str, Any]:
    """Return the entry of a zoo config in the model index (`Metadata`, `Results`, `Weights`), or an empty dict."""
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
