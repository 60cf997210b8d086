"""The default optimizer of a run: that of the schedule's zoo file, or of the detector's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from vision_research.config.schema import TrainConfig
from vision_research.config.zoo_excerpt import zoo_excerpt

SGD = {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001}


def recipe_optimizer(config: TrainConfig) -> dict[str, Any]:
    """Return the optimizer of the schedule's zoo file, else of the detector's, else SGD."""
    return deepcopy(recipe_optim_wrapper(config).get("optimizer") or SGD)


def recipe_optim_wrapper(config: TrainConfig) -> dict[str, Any]:
    """Return the optimizer wrapper of the schedule's zoo file, else of the detector's, else an empty dict."""
    if config.schedule.recipe is not None:
        return dict(zoo_excerpt(config.schedule.recipe).get("optim_wrapper") or {})
    return dict((config.model.get("recipe") or {}).get("optim_wrapper") or {})
