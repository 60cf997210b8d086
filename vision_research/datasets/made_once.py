"""Makes an embedded data set unless it is there: once, whole, by one of the commands that ask for it at that moment."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from vision_research.config.errors import ConfigError
from vision_research.work_dir import write_json


@dataclass(frozen=True)
class Generator:
    """What makes a data set.

    Attributes:
        name: of the data set, in texts.
        version: raised with every change of what is made: no two are ever mixed.
        default_counts: images or videos of each split.
        counted: the word for what is counted, `num_images`.
        size_mb: what it takes on disk.
        write_split: given the folder of the data set, a split and a count, writes that split.
    """

    name: str
    version: int
    default_counts: Mapping[str, int]
    counted: str
    size_mb: int
    write_split: Callable[[Path, str, int], None]

    def marker(self, root: Path) -> Path:
        """What was asked of which generator; present in every whole data set."""
        return root / f"{self.name}.json"


def make_once(generator: Generator, folder: Path, wanted: Mapping[str, int | None]) -> Path:
    """Make a data set unless it is there; the same bytes every time on one machine.

    It is built in a hidden folder beside its place and renamed, under a file lock, so that several commands may ask for
    it at the same moment and a kill leaves no half of it.

    Args:
        generator: what makes it.
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        wanted: how much of each split; None takes what is there, or makes as many as the generator says.

    Returns:
        Its absolute folder.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    root = folder.absolute()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        if not _is_made(generator, root, wanted):
            with FileLock(root.parent / f".{root.name}.lock", mode=0o666):
                if not _is_made(generator, root, wanted):
                    asked = {split: count for split, count in wanted.items() if count is not None}
                    _build_and_publish(generator, root, {**generator.default_counts, **asked})
    except OSError as error:
        raise ConfigError(
            f"data.root={folder}: the {generator.name} data set cannot be made there ({error.strerror or error}). It "
            f"needs a folder that can be written and {generator.size_mb} MB. Type data.root=<folder>"
        ) from error
    return root


def _is_made(generator: Generator, root: Path, wanted: Mapping[str, int | None]) -> bool:
    """Tell whether the wanted data set is there.

    Raises:
        ConfigError: something else is.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    remedy = f"Type another folder (data.root={root}-v{generator.version}), or remove this one (rm -r {root})"
    marker = generator.marker(root)
    if not marker.is_file():
        raise ConfigError(
            f"data.root={root}: is there, but no {generator.name} data set made by this program ({marker.name} is "
            f"missing). {remedy}"
        )
    made = json.loads(marker.read_text())
    counts = {split: count for split, count in wanted.items() if count is not None}
    if made != {"generator_version": generator.version, generator.counted: made.get(generator.counted, {}) | counts}:
        raise ConfigError(
            f"data.root={root}: holds other {generator.name} ({json.dumps(made)}) than this program makes now "
            f"(generator_version {generator.version}{', ' + json.dumps(counts) if counts else ''}). {remedy}"
        )
    return True


def _build_and_publish(generator: Generator, root: Path, counts: Mapping[str, int]) -> None:
    prefix = f".{root.name}.tmp-"
    for stale in root.parent.glob(f"{prefix}*"):
        # We hold the lock: whoever began these was killed.
        shutil.rmtree(stale)
    building = Path(tempfile.mkdtemp(dir=root.parent, prefix=prefix))
    try:
        for split, count in counts.items():
            generator.write_split(building, split, count)
        write_json(generator.marker(building), {"generator_version": generator.version, generator.counted: counts})
        # mkdtemp makes folders that only the owner reads; the one inside has what the umask says.
        building.chmod((building / "annotations").stat().st_mode & 0o777)
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
