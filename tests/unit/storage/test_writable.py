"""An output that cannot be written is refused before anything is computed, and the question leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.storage.typed_files import require_writable


def test_a_path_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"out=.*: .*/file is a file. Type out=<a path below a folder>"):
        require_writable("out", tmp_path / "file" / "a" / "b.json")


def test_a_folder_that_takes_no_file_is_named_even_to_root() -> None:
    with pytest.raises(ConfigError, match=r"out=/proc/nothing/b.json: /proc cannot be written by this user"):
        require_writable("out", Path("/proc/nothing/b.json"))


def test_what_can_be_written_is_let_through_and_nothing_is_made(tmp_path: Path) -> None:
    require_writable("out", tmp_path / "new" / "b.json")

    assert not list(tmp_path.iterdir())
