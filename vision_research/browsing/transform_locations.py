"""Lists the classes of a pipeline's transforms, with file and line of their source."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def describe_transforms(transforms: Sequence[Any]) -> list[str]:
    """Return a line for each built transform, in the order in which they run: number, class, file and line."""
    names = [type(transform).__name__ for transform in transforms]
    width = max(map(len, names), default=0)
    return [
        f"{number:2}. {name:{width}}  {_location(type(transform))}"
        for number, (name, transform) in enumerate(zip(names, transforms, strict=True), 1)
    ]


def _location(kind: type) -> str:
    """Return file and line of a class, for an editor: a relative path below the current folder, absolute elsewhere."""
    file = Path(inspect.getsourcefile(kind) or "?")
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f"{shown}:{inspect.getsourcelines(kind)[1]}"
