"""One look at the data of a run: the facts, or every problem at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind
from vision_research.datasets.facts import DatasetFacts, gather_facts
from vision_research.datasets.formats import all_split_files
from vision_research.registry import make_embedded

BCCD = Path(__file__).parents[4] / "shared" / "data" / "bccd"
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def write_split(root: Path, split: str, numbers: range, **changes: Any) -> None:
    """Write `annotations/<split>.json` with one box an image, and the images."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "images").mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), np.full((20, 30, 3), number, np.uint8))
    box = {"category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 30, "height": 20} for number in numbers],
        "categories": CATEGORIES,
        "annotations": [{"id": number, "image_id": number} | box for number in numbers],
    }
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_split(tmp_path, "train", range(1, 7))
    write_split(tmp_path, "val", range(7, 10))
    write_split(tmp_path, "test", range(10, 12))
    return tmp_path


def gather(root: Path, num_samples: int = 8, **changes: Any) -> DatasetFacts:
    typed = {
        "kind": "coco",
        "root": str(root),
        "train_ann": "annotations/train.json",
        "val_ann": "annotations/val.json",
        "img_prefix": "images/",
    }
    given = typed | changes
    data = DataConfig(**given | {"kind": DataKind[given["kind"]]})
    splits = all_split_files(data, ("train", "val", "test"))
    return gather_facts(Path(data.root), splits, data.classes, data.strict, num_samples)


def problems_of(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        gather(root, **changes)
    return error.value.problems


def test_the_facts_of_a_sound_data_set(root: Path) -> None:
    facts = gather(root, test_ann="annotations/test.json")

    assert facts.classes == ("cat", "dog")
    assert (facts.num_train, facts.num_val, facts.counts.get("test")) == (6, 3, 2)
    assert facts.warnings == ()
    assert len(facts.digest) == 16
    assert "test" not in gather(root).counts


def test_the_digest_tells_another_state_of_the_data(root: Path) -> None:
    digest = gather(root).digest
    assert gather(root).digest == digest

    cv2.imwrite(str(root / "images" / "1.jpg"), np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    other_image = gather(root).digest
    write_split(root, "val", range(7, 10), info={"version": 2})

    assert len({digest, other_image, gather(root).digest}) == 3


def test_every_problem_comes_at_once(root: Path) -> None:
    (root / "annotations" / "train.json").write_text("[]")
    write_split(root, "test", range(10, 12), images=[])

    problems = problems_of(root, val_ann="annotations/vall.json", test_ann="annotations/test.json")

    assert [problem.split("=")[0] for problem in problems] == ["data.train_ann", "data.val_ann", "data.test_ann"]
    assert problems[1].endswith("Type data.val_ann=annotations/val.json")


def test_a_missing_root_is_the_only_problem(root: Path) -> None:
    assert problems_of(root / "imges") == [
        f"data.root={root}/imges: there is no folder {root}/imges. Found in {root}: annotations, images. "
        f"Type data.root={root}/images"
    ]


def test_a_missing_image_folder_is_said_once(root: Path) -> None:
    assert problems_of(root, img_prefix="JPG/") == [
        f"data.img_prefix=JPG: there is no folder {root}/JPG. Found in {root}: annotations, images. "
        "Type data.img_prefix=<the folder>"
    ]


def test_a_split_with_its_own_image_folder_is_named_by_it(root: Path) -> None:
    assert problems_of(root, val_prefix="image")[0].startswith("data.val_prefix=image: there is no folder")
    assert gather(root, img_prefix="elsewhere", train_prefix="images", val_prefix="images").num_val == 3


def test_categories_that_differ_between_train_and_val_are_refused(root: Path) -> None:
    write_split(root, "val", range(7, 10), categories=CATEGORIES[:1])

    assert "(data.val_ann lacks 'dog')" in problems_of(root)[0]


def test_boxes_that_are_dropped_are_warned_of_or_refused(root: Path) -> None:
    content = json.loads((root / "annotations" / "train.json").read_text())
    content["annotations"][0]["bbox"] = [40, 1, 5, 5]
    (root / "annotations" / "train.json").write_text(json.dumps(content))

    (warning,) = gather(root).warnings

    assert "1 box outside the image (1.jpg annotation 1 box [40, 1, 5, 5])" in warning
    assert problems_of(root, strict=True)[0].endswith("or type data.strict=false to drop them")


@pytest.mark.parametrize(("split", "purpose"), [("train", "train on"), ("val", "score against")])
def test_a_split_without_a_box_is_refused(root: Path, split: str, purpose: str) -> None:
    write_split(root, split, range(1, 7) if split == "train" else range(7, 10), annotations=[])

    assert f"data.{split}_ann={root}/annotations/{split}.json: has no box to {purpose}" in problems_of(root)[0]


def test_an_image_of_the_sample_that_cannot_be_decoded_is_refused(root: Path) -> None:
    (root / "images" / "7.jpg").write_text("no image")

    (problem,) = problems_of(root)

    assert problem.startswith(f"data.val_ann={root}/annotations/val.json: 1 of 3 sampled images cannot be decoded: ")
    assert f"{root}/images/7.jpg (no image)" in problem
    assert gather(root, num_samples=0).num_val == 3


def test_images_that_are_trained_on_and_scored_are_warned_of(root: Path) -> None:
    write_split(root, "val", range(5, 10))

    assert gather(root).warnings == (
        f"data.val_ann={root}/annotations/val.json: 2 images also trained on (5.jpg, 6.jpg); the score will be "
        "too good",
    )
    assert gather(root, val_ann="annotations/train.json").warnings == ()


def test_classes_can_be_chosen_and_keep_the_order_of_the_file(root: Path) -> None:
    assert gather(root, classes=["dog"]).classes == ("dog",)
    assert gather(root, classes=["dog", "cat"]).classes == ("cat", "dog")
    assert problems_of(root, classes=["cat", "owl"]) == [
        f"data.classes=['cat', 'owl']: owl not in {root}/annotations/train.json. Allowed: cat, dog"
    ]


def test_the_embedded_digits_pass_strictly(tmp_path: Path) -> None:
    root = make_embedded("digits", tmp_path / "digits", train=3, val=2, test=2)

    facts = gather(root, kind="digits", test_ann="annotations/test.json", strict=True)

    assert facts.classes == tuple("0123456789")
    assert (facts.num_train, facts.num_val, facts.counts.get("test")) == (3, 2, 2)


@pytest.mark.skipif(not BCCD.exists(), reason="needs the blood cell images beside the checkout")
def test_blood_cells_are_sound() -> None:
    facts = gather(BCCD, test_ann="annotations/test.json")

    assert facts.classes == ("RBC", "WBC", "Platelets")
    assert (facts.num_train, facts.num_val, facts.counts.get("test")) == (205, 87, 72)


def test_looking_at_annotations_loads_no_heavy_library() -> None:
    import subprocess

    command = (
        "import sys, vision_research.datasets.facts; print([n for n in ('torch', 'cv2', 'numpy') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert shown.stdout == "[]\n"


@pytest.mark.parametrize(("kind", "tool"), [("youtube_vis", "youtubevis2coco.py"), ("mot", "mot2coco.py")])
def test_images_that_belong_to_no_video_are_no_videos(root: Path, kind: str, tool: str) -> None:
    first, second = problems_of(root, kind=kind)
    assert "train.json: not every image has a 'video_id' and a 'frame_id'" in first
    assert tool in first and "type data=coco" in first
    assert "val.json" in second
    for split, numbers in (("train", range(1, 7)), ("val", range(7, 10))):
        sizes = {"width": 30, "height": 20, "video_id": 1}
        frames = [{"id": number, "file_name": f"{number}.jpg", "frame_id": number, **sizes} for number in numbers]
        write_split(root, split, numbers, images=frames)
    assert gather(root, kind=kind).num_train == 6


def test_masks_of_what_is_trained_on_and_of_what_is_scored(root: Path) -> None:
    outlined = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25}
    write_split(root, "train", range(1, 7), annotations=[outlined | {"segmentation": [[1, 1, 6, 1, 6, 6]]}])
    facts = gather(root)
    assert (facts.masks, facts.scored_masks) == ("polygons", "none")
