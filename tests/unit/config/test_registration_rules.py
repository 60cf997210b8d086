"""What cannot be registered is refused by what was typed."""

from __future__ import annotations

from typing import Any

import pytest

from vision_research.config.command_rules import registration_problems
from vision_research.config.command_schema import RegisteringConfig, Split
from vision_research.config.command_schema import TestCommand as Command
from vision_research.config.schema import Tracker


def command(tracking: dict[str, Any], **words: Any) -> Command:
    allowed = {"register_as": "cells", "kind": Tracker.mlflow}
    given = {"artifact": "runs/a/model.ts", "run": "runs/a", "split": Split.test}
    return Command(**{**given, **words, "tracking": RegisteringConfig(**{**allowed, **tracking})})


def test_a_torchscript_file_of_a_tracked_run_is_registered() -> None:
    assert list(registration_problems(command({}))) == []


def test_without_a_name_nothing_is_asked() -> None:
    assert list(registration_problems(command({"register_as": None}, artifact=None, run=None))) == []


@pytest.mark.parametrize(
    ("tracking", "words", "message"),
    [
        ({}, {"artifact": None}, "artifact=None: one TorchScript file is registered. Type artifact=model.ts"),
        ({}, {"artifact": "model.onnx"}, "artifact=model.onnx: one TorchScript file is registered"),
        ({}, {"artifact": ["a.ts", "b.ts"]}, "one TorchScript file is registered"),
        ({}, {"run": None}, "a version belongs to a tracked run. Type run=WORK_DIR"),
        ({"kind": Tracker.none}, {}, "a version belongs to a tracked run"),
        ({}, {"split": Split.val}, "the test images decide. Leave split out"),
        ({"promote_margin": -0.1}, {}, "tracking.promote_margin=-0.1: has to be 0 or more"),
    ],
)
def test_what_cannot_be_registered_is_refused(tracking: dict[str, Any], words: dict[str, Any], message: str) -> None:
    (problem,) = registration_problems(command(tracking, **words))
    assert problem.startswith("tracking.register_as=cells: ")
    assert message in problem
