"""Checks COCO panoptic annotations: their classes, and whether the maps exist."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.datasets.image_files import missing_path_problem


def stuff_of(ann_files: dict[str, Path], things: Sequence[str]) -> tuple[str, ...]:
    """Return the stuff classes of panoptic annotations in the order of their labels.

    Args:
        ann_files: panoptic JSON by config key, with that of training first.
        things: the classes of the boxes; the first categories of each file must be the same, in the same order.

    Raises:
        ConfigError: a file is missing, has another format, or has other classes.
    """
    found: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for key, file in ann_files.items():
        try:
            found[key] = _stuff(key, file, things)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    first = next(iter(found))
    for key, names in found.items():
        if names != found[first]:
            raise ConfigError(
                f"{key}={ann_files[key]}: its stuff is {', '.join(names)}, and that of {first} is "
                f"{', '.join(found[first])}. Write the same 'categories' list into both files"
            )
    return found[first]


def _stuff(key: str, file: Path, things: Sequence[str]) -> tuple[str, ...]:
    if not file.is_file():
        raise ConfigError(missing_path_problem(key, file, "file", None))
    try:
        tree: dict[str, Any] = json.loads(file.read_bytes())
        categories = [(str(category["name"]), bool(category["isthing"])) for category in tree["categories"]]
        maps = [(annotation["file_name"], annotation["segments_info"]) for annotation in tree["annotations"][:1]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{key}={file}: is no COCO panoptic JSON ({type(error).__name__}: {error}): it has 'categories' with "
            f"'isthing', and 'annotations' with 'file_name' and 'segments_info'. Type {key}=FILE.json"
        ) from error
    names = [name for name, is_thing in categories if is_thing]
    if names != list(things) or any(is_thing for _, is_thing in categories[len(names) :]):
        raise ConfigError(
            f"{key}={file}: its things are {', '.join(names)}, those of the boxes are {', '.join(things)}. Both files "
            "name the same things in the same order, in the map before all stuff; data.classes=null takes all of them"
        )
    folder = file.with_suffix("")
    absent = [name for name, _ in maps if not (folder / name).is_file()]
    if absent:
        raise ConfigError(f"{key}={file}: its maps belong into {folder}, and {absent[0]} is not there")
    return tuple(name for name, is_thing in categories if not is_thing)
