"""Where the source of transforms is."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from vision_research.browsing.traced_samples import describe_transforms


class First: ...


class LongerName: ...


def test_every_transform_is_listed_with_file_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    line = inspect.getsourcelines(First)[1]
    assert describe_transforms([First(), LongerName()]) == [
        f" 1. First       test_transform_locations.py:{line}",
        f" 2. LongerName  test_transform_locations.py:{line + 3}",
    ]


def test_a_file_outside_of_the_current_folder_has_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_transforms([First()])[0].split()[2].startswith(f"{Path(__file__)}:")


def test_no_transforms_give_no_lines() -> None:
    assert describe_transforms([]) == []
