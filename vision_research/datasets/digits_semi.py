"""Makes the digits for semi-supervised learning: a quarter of the training pictures with annotations, the rest without.

    <root>/annotations/{train,val,test}.json      COCO JSON of the digits; `train` has the first quarter of the pictures
    <root>/annotations/unlabelled.json            the other training pictures, as COCO's image_info_*.json lists them

The pictures are those of `digits`, to the byte.
"""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.datasets.digits import write_pictures
from vision_research.datasets.made_once import Generator, make_once
from vision_research.work_dir import write_json

GENERATOR_VERSION = 1
_DEFAULT_COUNTS = {"train": 400, "val": 100, "test": 100}
# One picture in so many is labelled.
_LABELLED_OF = 4


def make_digits_semi(
    folder: Path, *, num_train: int | None = None, num_val: int | None = None, num_test: int | None = None
) -> Path:
    """Make the data set unless it is there; the same bytes every time on one machine.

    Args:
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        num_train: training pictures, labelled and unlabelled; None takes what is there, or makes 400.
        num_val: validation pictures; None takes what is there, or makes 100.
        num_test: test pictures; None takes what is there, or makes 100.

    Returns:
        Its absolute folder.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    generator = Generator("digits_semi", GENERATOR_VERSION, _DEFAULT_COUNTS, "num_images", 20, _write_split)
    return make_once(generator, folder, {"train": num_train, "val": num_val, "test": num_test})


def _write_split(root: Path, split: str, num_images: int) -> None:
    for _ in write_pictures(root, split, num_images):
        pass
    if split == "train":
        _part(root / "annotations", -(-num_images // _LABELLED_OF))


def _part(folder: Path, num_labelled: int) -> None:
    """Leave the annotations of the first pictures in the file of all of them, and list the others in a file beside."""
    tree = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    images = tree.pop("images")
    kept = {image["id"] for image in images[:num_labelled]}
    annotations = [annotation for annotation in tree.pop("annotations") if annotation["image_id"] in kept]
    write_json(folder / "train.json", {**tree, "images": images[:num_labelled], "annotations": annotations})
    info = {"info": tree["info"], "licenses": tree["licenses"]}
    write_json(folder / "unlabelled.json", {**info, "images": images[num_labelled:]})
