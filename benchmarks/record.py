"""Where a benchmark keeps its figures: a JSON file of its own, from which benchmarks/figures.py writes the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results" / "figures"


def record(name: str, **figures: Any) -> None:
    """Keep figures, beside those of other names that the file has.

    Args:
        name: the benchmark.
        **figures: JSON values.
    """
    (FOLDER / f"{name}.json").write_text(json.dumps({**recorded(name), **figures}, indent=1) + "\n")


def recorded(name: str) -> dict[str, Any]:
    """Return the figures of a benchmark."""
    file = FOLDER / f"{name}.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return figures
