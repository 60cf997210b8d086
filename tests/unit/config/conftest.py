"""Words of the zoo, composed, checked and lowered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify


@pytest.fixture
def lowered(typed: Callable[..., TrainConfig]) -> Callable[..., dict[str, Any]]:
    """Lower words as the train command does, for a run of two classes; keywords replace its inputs."""

    def build(*words: str, **changes: Any) -> dict[str, Any]:
        config = typed(*words)
        validate(specify(config))
        given = {"work_dir": Path("/runs/x"), "classes": ("a", "b"), "num_train": 160, "on_gpu": True, **changes}
        return lower(specify(config), LoweringInputs(**given))

    return build
