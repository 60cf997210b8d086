"""Makes an embedded data set in one step, also if several commands ask for it at the same time."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vision_research.config.errors import ConfigError
from vision_research.work_dir import write_json


@dataclass(frozen=True)
class EmbeddedDataset:
    """The specification of a data set that this program generates.

    Attributes:
        name: name in `data.kind`, and of the file in its folder that records the version and the counts.
        version: raised with every change of the written bytes, together with `data.root` in conf/data/, so that two
            versions never use the same folder.
        default_counts: images or videos of each split.
        counted: what is counted: `num_images` or `num_videos`.
        size_mb: size on disk, megabytes.
        write_split: writes a split, given the folder of the data set, the split and a count; writes the same bytes
            every time on one machine, and a folder `annotations`.
    """

    name: str
    version: int
    default_counts: Mapping[str, int]
    counted: str
    size_mb: int
    write_split: Callable[[Path, str, int], None]

    def marker(self, root: Path) -> Path:
        """Return the file that records version and counts; it is in every complete data set."""
        return root / f"{self.name}.json"


def make_once(dataset: EmbeddedDataset, folder: Path, counts: Mapping[str, int]) -> Path:
    """Make a data set unless it exists, and return its absolute folder.

    It is written into a hidden folder beside its place and then renamed, under a file lock: several commands may ask
    for it at the same time, and a killed one leaves no incomplete data set.

    Args:
        dataset: what to make.
        folder: its folder; made when missing. An existing one is used as it is if it holds this version.
        counts: images or videos of a split. For other splits, what exists is used, or the default count.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    # Importing it takes a tenth of a second, which commands that make nothing save.
    from filelock import FileLock

    root = folder.absolute()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        if not _is_made(dataset, root, counts):
            with FileLock(root.parent / f".{root.name}.lock", mode=0o666):
                if not _is_made(dataset, root, counts):
                    _build_and_publish(dataset, root, {**dataset.default_counts, **counts})
    except OSError as error:
        raise ConfigError(
            f"data.root={folder}: the {dataset.name} data set cannot be made there ({error.strerror or error}). It "
            f"needs a folder that can be written and {dataset.size_mb} MB. Type data.root=<folder>"
        ) from error
    return root


def _is_made(dataset: EmbeddedDataset, root: Path, counts: Mapping[str, int]) -> bool:
    """Tell whether the data set exists, with these counts; something else in the folder raises `ConfigError`."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    remedy = f"Type another folder (data.root={root}-v{dataset.version}), or remove this one (rm -r {root})"
    marker = dataset.marker(root)
    if not marker.is_file():
        raise ConfigError(
            f"data.root={root}: is there, but no {dataset.name} data set made by this program ({marker.name} is "
            f"missing). {remedy}"
        )
    made = json.loads(marker.read_text())
    if made != {"generator_version": dataset.version, dataset.counted: {**made.get(dataset.counted, {}), **counts}}:
        raise ConfigError(
            f"data.root={root}: holds other {dataset.name} ({json.dumps(made)}) than this program makes now "
            f"(generator_version {dataset.version}{', ' + json.dumps(counts) if counts else ''}). {remedy}"
        )
    return True


def _build_and_publish(dataset: EmbeddedDataset, root: Path, counts: Mapping[str, int]) -> None:
    prefix = f".{root.name}.tmp-"
    for stale in root.parent.glob(f"{prefix}*"):
        # This process holds the lock, so the command that began these was killed.
        shutil.rmtree(stale)
    building = Path(tempfile.mkdtemp(dir=root.parent, prefix=prefix))
    try:
        for split, count in counts.items():
            dataset.write_split(building, split, count)
        write_json(dataset.marker(building), {"generator_version": dataset.version, dataset.counted: dict(counts)})
        # Only its owner can read a folder of mkdtemp; the folder inside has the mode of the umask.
        building.chmod((building / "annotations").stat().st_mode & 0o777)
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
