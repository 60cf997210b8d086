"""The weights of a teacher are had before the ranks start, or refused with what to type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import EnvironmentProblem
from vision_research.config.schema import TrainConfig
from vision_research.flow.source import fetch_weights


def lowered(teacher: str | None) -> dict[str, Any]:
    return {"load_from": None, "model": {"teacher_ckpt": teacher}}


def test_a_teacher_that_cannot_be_had_is_refused_with_what_to_type(
    typed: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"^model\.teacher_ckpt: http.*type model\.teacher_ckpt=null\. With"):
        fetch_weights(typed(), lowered("http://127.0.0.1:9/teacher.pth"))


@pytest.mark.slow
def test_a_teacher_in_a_file_is_taken_and_none_is_none(typed: Callable[..., TrainConfig], tmp_path: Path) -> None:
    (tmp_path / "teacher.pth").touch()
    tree = lowered(str(tmp_path / "teacher.pth"))
    fetch_weights(typed(), tree)
    assert tree["model"]["teacher_ckpt"] == str(tmp_path / "teacher.pth")
    tree = lowered(None)
    fetch_weights(typed(), tree)
    assert tree["model"]["teacher_ckpt"] is None
