"""The OmegaConf resolvers that the YAML files use."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from vision_research.config.scoring import monitored


def first(*values: Any) -> Any:
    """Return the first value that is not null: `${first:${data.image_size},${model.recipe.image_size}}`."""
    return next((value for value in values if value is not None), None)


def wh(size: Any, factor: float = 1.0) -> list[int]:
    """Turn [height, width] into MMCV's [width, height], times a factor: `${wh:${image_size},2}`."""
    height, width = _pair(size)
    return [round(width * factor), round(height * factor)]


def share(whole: int | None, part: float) -> int:
    """Return a part of a length, 1 at least: `${share:${schedule.max_epochs},0.05}`; 1 where there is no length."""
    return 1 if whole is None else max(1, round(whole * part))


def negated(value: bool) -> bool:
    """Return the opposite: `${negated:${model.recipe.with_mask}}`."""
    return not value


def monitor(_root_: Any) -> str:
    """Return the value that the best checkpoint is chosen by, of the detector and data of this tree: `${monitor:}`."""
    model, recipe = (_plain(OmegaConf.select(_root_, key)) for key in ("model", "aug.recipe"))
    return monitored(model or {}, recipe, OmegaConf.select(_root_, "data.train_panoptic") is not None)


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _pair(size: Any) -> tuple[int, int]:
    if len(size) != 2:
        raise ValueError(f"image_size={list(size)}: is [height, width] in pixels. Type image_size=[640,640]")
    return size[0], size[1]


def register_resolvers() -> None:
    """Make the resolvers known; calling it twice does no harm."""
    for resolver in (first, wh, share, negated, monitor):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
