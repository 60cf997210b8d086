"""Whatever an annotation file holds, looking at it ends in counts and texts, never in an exception."""

from __future__ import annotations

import contextlib
import copy
import functools
import operator
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_boxes import box_annotation

from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.coco.inspection import compare_categories
from vision_research.datasets.formats import COCO
from vision_research.datasets.report import AnnotationReport

Tree = dict[str, Any]
Inspect = Callable[..., AnnotationReport]


def only_problem(report: AnnotationReport) -> str:
    assert len(report.problems) == 1, report.problems
    assert report.problems[0].startswith("data.")
    return report.problems[0]


def test_a_whole_file_is_counted(inspect: Inspect, tree: Tree) -> None:
    report = inspect(tree)

    assert report.problems == report.warnings == ()
    assert report.classes == ("dog", "cat")  # CocoDataset numbers labels in the order of the file
    assert report.categories == ((7, "dog"), (3, "cat"))
    assert (report.num_images, report.num_boxes) == (3, 3)
    assert report.image_names == ("1.jpg", "2.jpg", "3.jpg")
    assert len(report.digest) == 64


def test_boxes_that_training_drops_are_counted_and_named(inspect: Inspect, tree: Tree) -> None:
    for number, box in enumerate(
        [[100, 0, 5, 5], [0, -9, 9, 9], [0, 0, 0, 5], [0, 0, 5, -5], [0, 0, 0.5, 5]], start=10
    ):
        tree["annotations"].append(box_annotation(number, 3, 7, box))

    report = inspect(tree)

    assert report.problems == ()
    assert report.num_boxes == 3
    assert report.warnings == (
        "data.train_ann=annotations/train.json: 3 boxes of zero size or under 1 pixel (3.jpg annotation 12 box "
        "[0, 0, 0, 5], 3.jpg annotation 13 box [0, 0, 5, -5], 3.jpg annotation 14 box [0, 0, 0.5, 5]). They are "
        "dropped; data.strict=true refuses them",
        "data.train_ann=annotations/train.json: 2 boxes outside the image (3.jpg annotation 10 box [100, 0, 5, 5], "
        "3.jpg annotation 11 box [0, -9, 9, 9]). They are dropped; data.strict=true refuses them",
    )


def test_strict_makes_them_a_problem(inspect: Inspect, tree: Tree) -> None:
    tree["annotations"] += [box_annotation(number, 3, 7, [200, 0, 5, 5]) for number in range(10, 17)]

    report = inspect(tree, strict=True)

    assert report.warnings == ()
    assert "7 boxes outside the image (3.jpg annotation 10 box [200, 0, 5, 5]" in only_problem(report)
    assert "annotation 14 box [200, 0, 5, 5], ...)" in only_problem(report)
    assert only_problem(report).endswith("Mend the file, or type data.strict=false to drop them")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf  \n", "is empty"),
        (b"{'a': 1}", "is no JSON (Expecting property name enclosed in double quotes: line 1 column 2"),
        (b"\xff\xd8\xff\xe0", "is no JSON"),
        (b"<annotation></annotation>", "is XML. For Pascal VOC type data=voc"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer and not the file itself. Type git lfs pull",
        ),
        (b"[" * 100_000, "is nested too deeply"),
        (b"9" * 5000, "is no JSON"),
        (b"[]", "is a JSON list. Type the path of a COCO file"),
        (b'[{"image_id": 1, "score": 0.5}]', "is a JSON list of detections (COCO results), and no data set"),
        (b'[{"image_id": 1, "bbox": []}]', "is a JSON list of annotations without 'images' and 'categories'"),
        (b'"text"', "holds only text"),
        (b"null", "holds only None"),
        (b"{}", "has no 'images' list and no 'annotations' list and no 'categories' list; its keys are none"),
        (b'{"images": [], "annotations": {}, "categories": []}', "has no 'annotations' list; its keys are "),
        (b'{"shapes": [], "imagePath": "a.jpg"}', "is a labelme file of one image"),
        (b'{"a.jpg123": {"filename": "a.jpg", "regions": []}}', "is a project of the VGG Image Annotator (VIA)"),
        (b'{"metainfo": {}, "data_list": []}', "is a data set in OpenMMLab's own format"),
        (b'{"type": "FeatureCollection", "features": []}', "is GeoJSON"),
        (b'{"videos": [], "annotations": [], "categories": []}', "is a file by videos, as YouTube-VIS writes it"),
        (
            b'{"images": [], "categories": [], "annotations": [{"segments_info": []}]}',
            "holds COCO panoptic segments and no boxes",
        ),
    ],
)
def test_a_file_that_is_no_coco_is_described(inspect: Inspect, content: bytes, expected: str) -> None:
    report = inspect(content)

    assert only_problem(report).startswith(f"data.train_ann=annotations/train.json: {expected}")
    assert report.num_images == 0


def test_a_missing_file_names_its_neighbours_and_the_likely_one(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.json").touch()

    report = SplitFiles("val", "annotations/trian.json", None, "", COCO).inspect(tmp_path)

    assert only_problem(report) == (
        f"data.val_ann=annotations/trian.json: there is no file {tmp_path}/annotations/trian.json. Found in "
        f"{tmp_path}/annotations: train.json. Type data.val_ann=annotations/train.json"
    )


def test_a_folder_is_no_annotation_file(tmp_path: Path) -> None:
    report = SplitFiles("train", "", None, "", COCO).inspect(tmp_path)

    assert "is no file. Type data.train_ann=<the file>" in only_problem(report)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tree: tree["images"].clear(), "has no images. List them in 'images'"),
        (lambda tree: tree["categories"].clear(), "has no categories. List the classes in 'categories'"),
        (
            lambda tree: tree["categories"].append("cat"),
            "'categories' has 1 without an integer 'id' and a 'name': cat.",
        ),
        (lambda tree: tree["categories"].append({"id": 7, "name": "owl"}), "categories are there twice: 7=owl"),
        (lambda tree: tree["categories"].append({"id": 8, "name": "cat"}), "categories are there twice: 8=cat"),
        (lambda tree: tree["images"][0].pop("width"), "1 image without an 'id', a 'file_name', and a 'width'"),
        (lambda tree: tree["images"][0].update(height=0), "1 image without an 'id', a 'file_name', and a 'width'"),
        (lambda tree: tree["images"].append(tree["images"][0]), "image ids are there twice: 1 (1.jpg)"),
        (lambda tree: tree["annotations"][0].pop("area"), "1 annotation without the number 'area' (ids 1)"),
        (lambda tree: tree["annotations"][0].pop("bbox"), "1 annotation without 'id', 'image_id', 'category_id' and a"),
        (lambda tree: tree["annotations"][0].update(bbox=[0, 0, float("nan"), 1]), "of four finite numbers"),
        (lambda tree: tree["annotations"][0].update(bbox=[0, 0, 10**400, 1]), "of four finite numbers"),
        (lambda tree: tree["annotations"][1].update(id=1), "annotation ids are there twice: 1. Give each"),
        (lambda tree: tree["annotations"][0].update(category_id=99), "list: annotation 1, category_id 99. Add the"),
    ],
)
def test_what_training_would_stumble_over_is_a_problem(
    inspect: Inspect, tree: Tree, change: Callable[[Tree], Any], expected: str
) -> None:
    change(tree)

    problems = inspect(tree).problems

    assert any(expected in problem for problem in problems), problems


def test_annotations_of_unknown_images_are_dropped_with_a_warning(inspect: Inspect, tree: Tree) -> None:
    tree["annotations"][0]["image_id"] = 99

    report = inspect(tree)

    assert report.problems == ()
    assert report.num_boxes == 2
    assert "1 annotation of an image that 'images' does not list (annotation 1, image_id 99)" in report.warnings[0]


def test_missing_images_are_counted_and_found_elsewhere(inspect: Inspect, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in (1, 3):
        (tmp_path / "images" / f"{number}.jpg").rename(tmp_path / "pictures" / f"{number}.jpg")

    assert only_problem(inspect(tree)) == (
        f"data.img_prefix=images: 2 of 3 images in {tmp_path}/annotations/train.json are not there (1.jpg, 3.jpg). "
        f"1.jpg lies in {tmp_path}/pictures. Type data.img_prefix=pictures"
    )


def test_images_in_folders_below_the_prefix_are_found(inspect: Inspect, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "images" / "a").mkdir()
    (tmp_path / "images" / "1.jpg").rename(tmp_path / "images" / "a" / "1.jpg")
    tree["images"][0]["file_name"] = "a/1.jpg"

    assert inspect(tree).problems == ()


def test_a_missing_image_folder_is_named(inspect: Inspect, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / "image")

    assert only_problem(inspect(tree, prefix="images")).endswith("Type data.train_prefix=image")


@pytest.mark.slow
def test_no_weird_value_anywhere_raises(inspect: Inspect, tree: Tree) -> None:
    """Put every kind of JSON value in place of every node of the tree, and of several at once."""
    values = [None, True, 0, -1, 1.5, 1e308, 10**400, "", "1", "\0", "\ud800", [], [[]], {}, {"id": []}, float("inf")]
    rng = random.Random(0)
    positions = [path for path in walk(tree) if path]

    for _ in range(600):
        changed = copy.deepcopy(tree)
        for path in rng.sample(positions, k=rng.choice([1, 1, 3])):
            put(changed, path, rng.choice(values))
        report = inspect(changed)
        for text in (*report.problems, *report.warnings):
            assert text.startswith("data.")
            assert text.encode("utf-8")
        assert report.num_boxes >= 0


def walk(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, child in children for found in walk(child, (*path, key)))]


def put(tree: Tree, path: tuple[Any, ...], value: Any) -> None:
    # An earlier change of the same tree may have taken the place away.
    with contextlib.suppress(KeyError, IndexError, TypeError):
        functools.reduce(operator.getitem, path[:-1], tree)[path[-1]] = value


def test_equal_categories_are_no_problem(inspect: Inspect, tree: Tree) -> None:
    report = inspect(tree)

    assert compare_categories(report, report) == []
