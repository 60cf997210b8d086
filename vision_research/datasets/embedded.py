"""The data sets that the project brings along: made on first use, by a module and a function of their name each."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def make_embedded(name: str, root: Path) -> None:
    """Make a data set unless it is there.

    Args:
        name: `digits`, `digits_video`, ...
        root: its folder.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    # Imported when it is asked for: drawing digits takes packages that most runs do not.
    module = import_module(f"vision_research.datasets.{name}")
    getattr(module, f"make_{name}")(root)
