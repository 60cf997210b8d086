"""Makes the embedded default data set: a COCO data set of handwritten digits, so that a fresh machine can train offline.

Owns where it lies, that it is made once and appears whole, and its annotation files. What a picture looks like belongs to
`digits_render`, which is imported only when pictures are made: this module stays light for the commands.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from vision_research.config.errors import ConfigError
from vision_research.work_dir import write_json

# Raise it with every change of what is made: the data set then gets a new folder, and no run ever mixes two of them.
GENERATOR_VERSION = 1
SPLITS = ("train", "val", "test")
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class DigitsPaths:
    """Where one made data set lies.

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
        """What was asked of the generator; present in every whole data set."""
        return self.root / "digits.json"


def digits_paths(folder: Path, *, num_train: int = 400, num_val: int = 100, num_test: int = 100) -> DigitsPaths:
    """Say where `make_digits` with the same arguments puts the data set; touches no disk."""
    name = f"digits-v{GENERATOR_VERSION}-{num_train}-{num_val}-{num_test}"
    return DigitsPaths(root=folder.absolute() / name)


def make_digits(folder: Path, *, num_train: int = 400, num_val: int = 100, num_test: int = 100) -> DigitsPaths:
    """Make the data set unless it is there; the same bytes every time on one machine.

    It is built in a hidden folder beside its place and renamed, under a file lock, so that several commands may ask for it at
    the same moment and a kill leaves no half of it.

    Args:
        folder: the data folder, made when missing; the data set gets a folder of its own in it.
        num_train: training pictures.
        num_val: validation pictures.
        num_test: test pictures.

    Returns:
        Where it lies.

    Raises:
        ConfigError: the data folder cannot be written, or holds a damaged copy.
    """
    paths = digits_paths(folder, num_train=num_train, num_val=num_val, num_test=num_test)
    if paths.marker.is_file():
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(paths.root.parent / f".{paths.root.name}.lock", mode=0o666):
            if not paths.marker.is_file():
                _refuse_damaged(paths)
                _build_and_publish(paths, dict(zip(SPLITS, (num_train, num_val, num_test), strict=True)))
    except OSError as error:
        raise ConfigError(
            f"data.root={folder}: the digits data set cannot be made there ({error.strerror or error}). It needs a folder "
            f"that can be written and 20 MB; type data.root=<folder>"
        ) from error
    return paths


def _refuse_damaged(paths: DigitsPaths) -> None:
    if paths.root.exists():
        raise ConfigError(
            f"data.root={paths.root.parent}: the digits data set in {paths.root} is damaged ({paths.marker.name} is "
            f"missing). Remove that folder (rm -r {paths.root}) and run again: it is then made anew"
        )


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
        # mkdtemp makes folders that only the owner reads; the plain folder beside it has what the umask says.
        building.chmod((building / "images").stat().st_mode & 0o777)
        os.rename(building, paths.root)  # noqa: PTH104  # symmetrical with mkdtemp, and the one atomic step
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
