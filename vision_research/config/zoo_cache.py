"""Keeps what zoo files became, so that composing one costs no more than composing a YAML file.

MMEngine takes a tenth of a second to run a file and its bases. An entry is kept as JSON in the user's cache folder, and
counts for as long as none of the files that it came from has changed, nor the code that made it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vision_research.work_dir import write_atomic

FOLDER = Path("~/.cache/vision_research/zoo")
# The code that turns a file into an entry.
MAKERS = ("recipe.py", "zoo_entries.py", "dataset_tree.py")

Entry = dict[str, Any]


def cached_entry(group: str, file: Path, name: str, make: Callable[[], Entry]) -> Entry:
    """Return an entry, from the cache where it is still what its files say.

    Args:
        group: config group of the entry.
        file: config file of the zoo.
        name: its name in the zoo.
        make: makes the entry anew.
    """
    kept = FOLDER.expanduser() / f"{group}--{name.replace('/', '--')}.json"
    try:
        found = json.loads(kept.read_bytes())
        if _is_current(found["made_from"], file):
            return dict(found["entry"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing kept yet, or what is kept is torn
    entry = make()
    _keep(kept, file, entry)
    return entry


def _keep(kept: Path, file: Path, entry: Entry) -> None:
    try:
        text = json.dumps({"made_from": _made_from(file), "entry": entry})
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, text)
    except (OSError, ValueError, TypeError):
        return  # a home that cannot be written, or bases that only MMEngine finds, cost time and nothing else


def _is_current(made_from: list[list[Any]], file: Path) -> bool:
    paths = [state[0] for state in made_from]
    # Two installations share a home, and so this cache.
    is_ours = paths[0] == str(file.resolve()) and paths[-len(MAKERS) :] == [str(maker) for maker in _makers()]
    return is_ours and all(_state(Path(state[0])) == state for state in made_from)


def _made_from(file: Path) -> list[list[Any]]:
    """List every file that an entry depends on as it is now: the config, its bases, our code."""
    return [_state(one) for one in [*dict.fromkeys(_with_bases(file.resolve())), *_makers()]]


def _state(file: Path) -> list[Any]:
    status = file.stat()
    return [str(file), status.st_size, status.st_mtime_ns]


def _makers() -> list[Path]:
    return [Path(__file__).with_name(maker) for maker in MAKERS]


def _with_bases(file: Path) -> Iterator[Path]:
    """Yield a config file and the files that it builds on.

    Raises:
        ValueError: the bases are not written as plain text.
    """
    yield file
    for line in ast.parse(file.read_bytes()).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == "_base_":
            bases = ast.literal_eval(line.value)
            for base in [bases] if isinstance(bases, str) else bases:
                yield from _with_bases((file.parent / base).resolve())
