"""Makes the embedded default data set: handwritten digits as a COCO data set, so that a fresh machine trains offline.

Owns its annotation files; that it is made once and appears whole is `made_once`'s. What a picture looks like belongs to
`digits_render`, which is imported only when pictures are made: this module stays light for the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_research.datasets.made_once import Generator, make_once
from vision_research.work_dir import write_json

if TYPE_CHECKING:
    from vision_research.datasets.digits_render import Picture

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


def make_digits(
    folder: Path, *, num_train: int | None = None, num_val: int | None = None, num_test: int | None = None
) -> DigitsPaths:
    """Make the data set unless it is there; the same bytes every time on one machine.

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
    generator = Generator("digits", GENERATOR_VERSION, _DEFAULT_COUNTS, "num_images", 20, _write_split)
    return DigitsPaths(make_once(generator, folder, {"train": num_train, "val": num_val, "test": num_test}))


def _write_split(root: Path, split: str, num_images: int) -> None:
    for _ in write_pictures(root, split, num_images):
        pass


def write_pictures(root: Path, split: str, num_images: int) -> Iterator[tuple[str, Picture]]:
    """Write the pictures of a split, and behind the last one their COCO file.

    Yields:
        What each is called in the file, and what is in it.
    """
    from vision_research.datasets.digits_render import DigitsRenderer, encode_jpeg

    paths = DigitsPaths(root)
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
        yield file_name, picture
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
    info = {"description": f"Handwritten digits on photographs, {split}", "version": str(GENERATOR_VERSION)}
    write_json(
        paths.root / "annotations" / f"{split}.json",
        {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": categories},
    )
