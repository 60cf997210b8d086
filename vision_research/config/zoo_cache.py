"""Caches converted zoo files as JSON in the user's cache folder.

MMEngine takes 0.1 s to run a file and its bases. A cached entry is valid until one of its files, or the code that
converts them, changes.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vision_research.work_dir import write_atomic

FOLDER = Path("~/.cache/vision_research/zoo")
# Modules of the code that converts a file to an entry.
MAKERS = [Path(__file__).with_name(name) for name in ("recipe.py", "zoo_entries.py", "dataset_tree.py", "tree.py")]

Entry = dict[str, Any]


def cached_entry(group: str, file: Path, name: str, make: Callable[[], Entry]) -> Entry:
    """Return an entry from the cache, or make and store it.

    Args:
        group: config group of the entry.
        file: config file of the zoo.
        name: its name in the zoo.
        make: makes the entry.
    """
    kept = FOLDER.expanduser() / f"{group}--{name.replace('/', '--')}.json"
    # Nothing is cached yet, or the file is incomplete.
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(kept.read_bytes())
        if _is_current(found["made_from"], file):
            return dict(found["entry"])
    entry = make()
    # Without the cache where the home cannot be written, or only MMEngine finds the bases.
    with suppress(OSError, ValueError, TypeError):
        text = json.dumps({"made_from": _made_from(file), "entry": entry})
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, text)
    return entry


def _is_current(made_from: list[list[Any]], file: Path) -> bool:
    paths = [state[0] for state in made_from]
    # Two installations may share a home folder, and so this cache.
    is_ours = paths[0] == str(file.resolve()) and paths[-len(MAKERS) :] == list(map(str, MAKERS))
    return is_ours and all(_state(Path(state[0])) == state for state in made_from)


def _made_from(file: Path) -> list[list[Any]]:
    """List the state of every file that an entry depends on: the config, its bases, our code."""
    return [_state(one) for one in [*dict.fromkeys(_with_bases(file.resolve())), *MAKERS]]


def _state(file: Path) -> list[Any]:
    status = file.stat()
    return [str(file), status.st_size, status.st_mtime_ns]


def _with_bases(file: Path) -> Iterator[Path]:
    """Yield a config file and its bases.

    Raises:
        ValueError: `_base_` is not a literal.
    """
    yield file
    for line in ast.parse(file.read_bytes()).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == "_base_":
            bases = ast.literal_eval(line.value)
            for base in [bases] if isinstance(bases, str) else bases:
                yield from _with_bases((file.parent / base).resolve())
