"""The OmegaConf resolvers that the YAML files use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import OmegaConf

from vision_research.config.schema import DataConfig

# Takes the `model` group, the pipelines of `aug.recipe` or None, and the `data` group; returns `schedule.monitor`.
FindMonitor = Callable[[Mapping[str, Any], Mapping[str, Any] | None, DataConfig], str]


def first(*values: Any) -> Any:
    """Return the first value that is not null: `${first:${data.image_size},${model.recipe.image_size}}`."""
    return next((value for value in values if value is not None), None)


def wh(size: Any, factor: float = 1.0) -> list[int]:
    """Convert [height, width] to MMCV's [width, height]: `${wh:${image_size},2}`.

    Args:
        size: [height, width] in pixels.
        factor: multiplies both.
    """
    if len(size) != 2:
        raise ValueError(f"image_size={list(size)}: is [height, width] in pixels. Type image_size=[640,640]")
    height, width = size
    return [round(width * factor), round(height * factor)]


def share(whole: int | None, part: float) -> int:
    """Return a part of a length, at least 1: `${share:${schedule.max_epochs},0.05}`.

    Args:
        whole: the length; None gives 1.
        part: between 0 and 1.
    """
    return 1 if whole is None else max(1, round(whole * part))


def negated(value: bool) -> bool:
    """Return the opposite: `${negated:${model.recipe.with_mask}}`."""
    return not value


def register_resolvers(find_monitor: FindMonitor | None) -> None:
    """Register the resolvers; may be called repeatedly. Without `find_monitor`, there is no `${monitor:}`."""
    for resolver in (first, wh, share, negated):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    if find_monitor is None:
        return

    def monitor(_root_: Any) -> str:
        model, recipe, data = (_plain(_root_, key) for key in ("model", "aug.recipe", "data"))
        # Keys that the schema lacks are reported after the composition.
        known = {name: value for name, value in data.items() if name in DataConfig.__dataclass_fields__}
        return find_monitor(model or {}, recipe, DataConfig(**known))

    OmegaConf.register_new_resolver("monitor", monitor, replace=True)


def _plain(root: Any, key: str) -> Any:
    node = OmegaConf.select(root, key)
    return OmegaConf.to_container(node, resolve=key == "data") if OmegaConf.is_config(node) else node
