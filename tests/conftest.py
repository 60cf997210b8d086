"""Fixtures that several test packages share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import TrainConfig

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def typed() -> Callable[..., TrainConfig]:
    """Compose overrides into the typed tree, as the train command does."""
    register()

    def compose_typed(*overrides: str) -> TrainConfig:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = OmegaConf.to_object(compose("train", overrides=list(overrides)))
        assert isinstance(config, TrainConfig)
        return config

    return compose_typed
