"""Words of the `browse` group that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from vision_research.config.command_rules import browse_problems
from vision_research.config.command_schema import BrowseConfig, Phase


def test_the_defaults_are_allowed() -> None:
    assert list(browse_problems(BrowseConfig())) == []


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ({"num": 0, "stage": 3}, ["browse.num=0: has to be 1 or more", "browse.stage=3: is 1, or 2"]),
        ({"repeat": -1}, ["browse.repeat=-1: has to be 1 or more"]),
        ({"stage": 2, "phase": Phase.val}, ["browse.stage=2 with browse.phase=val: training alone has stages"]),
        ({"images": []}, ["browse.images=[]: names no image"]),
        ({"out": "s3://bucket/x"}, ["browse.out=s3://bucket/x: is a folder of this machine"]),
    ],
)
def test_every_problem_names_its_key(words: dict[str, Any], messages: list[str]) -> None:
    problems = list(browse_problems(BrowseConfig(**words)))
    assert len(problems) == len(messages)
    assert all(problem.startswith(message) for problem, message in zip(problems, messages, strict=True))
