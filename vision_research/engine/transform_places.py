"""Says where the transforms of a pipeline live: class, file and line, and what they were told."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def places(transforms: Sequence[Any]) -> list[str]:
    """Return a line for each transform.

    Args:
        transforms: built ones, in the order they run.
    """
    names = [type(transform).__name__ for transform in transforms]
    width = max(map(len, names), default=0)
    return [
        f"{number:2}. {name:{width}}  {_place(type(transform))}"
        for number, (name, transform) in enumerate(zip(names, transforms, strict=True), 1)
    ]


def _place(kind: type) -> str:
    """Return file and line of a class, for an editor: relative below the current folder, elsewhere whole."""
    file = Path(inspect.getsourcefile(kind) or "?")
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f"{shown}:{inspect.getsourcelines(kind)[1]}"
