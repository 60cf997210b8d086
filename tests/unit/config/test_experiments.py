"""An experiment from elsewhere is an option of its group, as those of `conf/` are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_research.config.compose import add_experiment
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig

TEXT = """\
# @package _global_
defaults:
  - override /model: retinanet
schedule:
  lr: 0.125
"""


@pytest.mark.parametrize("address", ["s3://bucket/a b/team.yaml", "s3://bucket/a b/team"])
def test_it_is_chosen_by_its_address(address: str, typed: Callable[..., TrainConfig]) -> None:
    add_experiment(address, TEXT)
    config = typed(f"experiment='{address}'", "schedule.max_epochs=3")

    assert (config.schedule.lr, config.schedule.max_epochs) == (0.125, 3)
    assert config.model["type"] == "RetinaNet"


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is no YAML file"), ("", "holds no keys"), ("- a", "holds no keys")]
)
def test_what_is_no_experiment_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"experiment=s3://b/x.yaml: {said}"):
        add_experiment("s3://b/x.yaml", text)
