"""Makes the embedded default data set: handwritten digits as a COCO data set, so that a fresh machine trains offline.

Owns where it lies, that it is made once and appears whole, and its annotation files. What a picture looks like belongs
to `digits_render`, which is imported only when pictures are made: this module stays light for the commands.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from vision_research.config.errors import ConfigError
from vision_research.work_dir import write_json

# Raise it with every change of what is made, and `data.root` in conf/data/digits.yaml with it: no two are ever mixed.
GENERATOR_VERSION = 1
_DEFAULT_COUNTS = {"train": 400, "val": 100, "test": 100}
SPLITS = tuple(_DEFAULT_COUNTS)
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class DigitsPaths:
    """Where everything of the data set lies.

    Attributes:
        root: its folder; everything below is relative to it.
        train_ann: COCO file of the training pictures.
        val_ann: COCO file of the validation pictures.
        test_ann: COCO file of the test pictures.
        img_prefix: folder that `file_name` in the COCO files is relative to.
    """

    root: Path
    train_ann: str = "annotations/train.json"
    val_ann: str = "annotations/val.json"
    test_ann: str = "annotations/test.json"
    img_prefix: str = "images/"

    @property
    def marker(self) -> Path:
        """What was asked of which generator; present in every whole data set."""
        return self.root / "digits.json"


def make_digits(
    folder: Path, *, num_train: int | None = None, num_val: int | None = None, num_test: int | None = None
) -> DigitsPaths:
    """Make the data set unless it is there; the same bytes every time on one machine.

    It is built in a hidden folder beside its place and renamed, under a file lock, so that several commands may ask for
    it at the same moment and a kill leaves no half of it.

    Args:
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        num_train: training pictures; None takes what is there, or makes 400.
        num_val: validation pictures; None takes what is there, or makes 100.
        num_test: test pictures; None takes what is there, or makes 100.

    Returns:
        Where everything lies.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    wanted = {"train": num_train, "val": num_val, "test": num_test}
    paths = DigitsPaths(root=folder.absolute())
    try:
        paths.root.parent.mkdir(parents=True, exist_ok=True)
        if not _is_made(paths, wanted):
            with FileLock(paths.root.parent / f".{paths.root.name}.lock", mode=0o666):
                if not _is_made(paths, wanted):
                    _build_and_publish(paths, {split: _count(wanted[split], split) for split in SPLITS})
    except OSError as error:
        raise ConfigError(
            f"data.root={folder}: the digits data set cannot be made there ({error.strerror or error}). It needs a "
            f"folder that can be written and 20 MB. Type data.root=<folder>"
        ) from error
    return paths


def _count(wanted: int | None, split: str) -> int:
    return _DEFAULT_COUNTS[split] if wanted is None else wanted


def _is_made(paths: DigitsPaths, wanted: dict[str, int | None]) -> bool:
    """Tell whether the wanted data set is there.

    Raises:
        ConfigError: something else is.
    """
    if not paths.root.exists() or (paths.root.is_dir() and not any(paths.root.iterdir())):
        return False
    remedy = (
        f"Type another folder (data.root={paths.root}-v{GENERATOR_VERSION}), or remove this one (rm -r {paths.root})"
    )
    if not paths.marker.is_file():
        raise ConfigError(
            f"data.root={paths.root}: is there, but no digits data set made by this program ({paths.marker.name} is "
            f"missing). {remedy}"
        )
    made = json.loads(paths.marker.read_text())
    counts = {split: count for split, count in wanted.items() if count is not None}
    if made != {"generator_version": GENERATOR_VERSION, "num_images": made.get("num_images", {}) | counts}:
        raise ConfigError(
            f"data.root={paths.root}: holds other digits ({json.dumps(made)}) than this program makes now "
            f"(generator_version {GENERATOR_VERSION}{', ' + json.dumps(counts) if counts else ''}). {remedy}"
        )
    return True


def _build_and_publish(paths: DigitsPaths, num_images: dict[str, int]) -> None:
    prefix = f".{paths.root.name}.tmp-"
    for stale in paths.root.parent.glob(f"{prefix}*"):
        # We hold the lock: whoever began these was killed.
        shutil.rmtree(stale)
    building = Path(tempfile.mkdtemp(dir=paths.root.parent, prefix=prefix))
    try:
        for split in SPLITS:
            _write_split(DigitsPaths(building), split, num_images[split])
        write_json(DigitsPaths(building).marker, {"generator_version": GENERATOR_VERSION, "num_images": num_images})
        # mkdtemp makes folders that only the owner reads; the one inside has what the umask says.
        building.chmod((building / "images").stat().st_mode & 0o777)
        building.rename(paths.root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write_split(paths: DigitsPaths, split: str, num_images: int) -> None:
    from vision_research.datasets.digits_render import DigitsRenderer, encode_jpeg

    image_folder = paths.root / paths.img_prefix / split
    image_folder.mkdir(parents=True)
    (paths.root / "annotations").mkdir(exist_ok=True)
    renderer = DigitsRenderer(split)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id in range(1, num_images + 1):
        picture = renderer.render(image_id)
        file_name = f"{split}/{image_id:06d}.jpg"
        (paths.root / paths.img_prefix / file_name).write_bytes(encode_jpeg(picture.image))
        height, width = picture.image.shape[:2]
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for digit in picture.digits:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **digit.to_coco()})
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
    info = {"description": f"Handwritten digits on photographs, {split}", "version": str(GENERATOR_VERSION)}
    write_json(
        paths.root / "annotations" / f"{split}.json",
        {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": categories},
    )
