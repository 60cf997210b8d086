"""A data set gets the pipeline of the second stage from whichever hook defines it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vision_research.browsing import traced_samples
from vision_research.browsing.traced_samples import switch_to_second_stage
from vision_research.config.errors import ConfigError


@pytest.mark.parametrize(
    ("hook", "pipeline"),
    [
        ({"type": "PipelineSwitchHook", "switch_pipeline": ["weak"]}, ["weak"]),
        ({"type": "PipelineStageHook", "pipeline": ["weaker"]}, ["weaker"]),
    ],
)
def test_the_pipeline_of_the_hook_is_taken(
    monkeypatch: pytest.MonkeyPatch, hook: dict[str, Any], pipeline: list[str]
) -> None:
    switched: list[Any] = []
    monkeypatch.setattr(traced_samples, "switch_pipelines", lambda *given: switched.append(given))
    switch_to_second_stage("data set", {"custom_hooks": [{"type": "Other"}, hook]})
    assert switched == [("data set", pipeline)]


@pytest.mark.parametrize(
    ("words", "skipped"), [({}, ("Mosaic", "RandomAffine", "MixUp")), ({"skip_type_keys": ("Mosaic",)}, ("Mosaic",))]
)
def test_yolox_leaves_its_mixing_transforms_out(words: dict[str, Any], skipped: tuple[str, ...]) -> None:
    told: list[Any] = []
    dataset = SimpleNamespace(update_skip_type_keys=told.append)
    switch_to_second_stage(dataset, {"custom_hooks": [{"type": "YOLOXModeSwitchHook", **words}]})
    assert told == [skipped]


def test_a_training_of_one_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"this training has one stage\. Type browse\.stage=1"):
        switch_to_second_stage(None, {"custom_hooks": [{"type": "EMAHook"}]})
