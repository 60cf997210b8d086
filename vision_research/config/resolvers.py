"""The OmegaConf resolvers that the YAML files use."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf


def first(*values: Any) -> Any:
    """Return the first value that is not null: `${first:${data.image_size},${model.recipe.image_size}}`."""
    return next((value for value in values if value is not None), None)


def wh(size: Any, factor: float = 1.0) -> list[int]:
    """Turn [height, width] into MMCV's [width, height], times a factor: `${wh:${image_size},2}`."""
    height, width = size
    return [round(width * factor), round(height * factor)]


def hw(size: Any, factor: float = 1.0) -> list[int]:
    """Return [height, width] times a factor, for the transforms that take that order."""
    height, width = size
    return [round(height * factor), round(width * factor)]


def register_resolvers() -> None:
    """Make the resolvers known; calling it twice does no harm."""
    for resolver in (first, wh, hw):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
