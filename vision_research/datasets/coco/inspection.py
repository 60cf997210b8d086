"""Checks a COCO annotation file before a training, and describes what is wrong with it.

It never raises because of the content of a file. It checks what MMDetection's CocoDataset (mmdet/datasets/coco.py,
`parse_data_info`) and COCO's evaluation need. It uses the standard library only, so that the commands start quickly.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from vision_research.datasets.coco.entries import Annotations, Categories, Images
from vision_research.datasets.report import AnnotationReport, find, show

_WANTED = "Type the path of a COCO file: a JSON object with the lists 'images', 'annotations' and 'categories'"


def read_coco(report: AnnotationReport) -> AnnotationReport:
    """Read a COCO file as `AnnotationFormat.read`; one that cannot be read as COCO has one problem and counts of 0."""
    try:
        content = report.ann_file.read_bytes()
    except OSError as error:
        return report.with_problems([f"cannot be read ({error.strerror}). Type {report.key}=<file>"])
    with _without_garbage_collection():
        return _read_content(content, replace(report, digest=hashlib.sha256(content).hexdigest()))


def _read_content(content: bytes, report: AnnotationReport) -> AnnotationReport:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        return report.with_problems([describe_no_json(content, error)])
    if other := _describe_other_format(tree):
        return report.with_problems([other])
    categories, images = Categories(tree["categories"]), Images(tree["images"])
    annotations = Annotations(tree["annotations"], images, categories)
    return replace(
        report,
        categories=tuple(categories.names.items()),
        num_images=images.count,
        num_boxes=annotations.num_boxes,
        image_names=tuple(images.names.values()),
        masks=annotations.masks,
        has_videos=images.count > 0 and images.num_frames == images.count,
        problems=(*categories.problems, *images.problems, *annotations.problems),
        warnings=tuple(annotations.dropped),
    )


def describe_no_json(content: bytes, error: Exception) -> str:
    """Describe a file that cannot be parsed.

    Args:
        content: content of the file.
        error: error of the parser.
    """
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return f"is empty. {_WANTED}"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer and not the file itself. Type git lfs pull in the data set's repository"
    if start.startswith(b"<"):
        return "is XML. For Pascal VOC type data=voc; COCO annotations are JSON"
    if isinstance(error, RecursionError):
        return f"is nested too deeply. {_WANTED}"
    return f"is no JSON ({error}). {_WANTED}"


def _describe_other_format(tree: Any) -> str:
    """Describe a parsed file that is no COCO data set; empty if it is one."""
    if isinstance(tree, list):
        return f"is a JSON list{_kind_of_list(tree)}. {_WANTED}"
    if not isinstance(tree, dict):
        return f"holds only {show(tree)}. {_WANTED}"
    wrong = [name for name in ("images", "annotations", "categories") if not isinstance(tree.get(name), list)]
    if not wrong:
        return _panoptic(tree["annotations"])
    if known := _known_tool(tree):
        return f"is {known}. Convert it to COCO first. {_WANTED}"
    absent = [f"no {name!r} list" for name in wrong]
    return f"has {' and '.join(absent)}; its keys are {show(sorted(map(show, tree))) if tree else 'none'}. {_WANTED}"


def _kind_of_list(tree: list[Any]) -> str:
    first = tree[0] if tree else None
    if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
        return " of detections (COCO results), and no data set"
    if isinstance(first, dict) and {"image_id", "bbox"} <= first.keys():
        return " of annotations without 'images' and 'categories'"
    return ""


def _known_tool(tree: dict[str, Any]) -> str:
    if "shapes" in tree and "imagePath" in tree:
        return "a labelme file of one image"
    if "_via_img_metadata" in tree or any(isinstance(entry, dict) and "regions" in entry for entry in tree.values()):
        return "a project of the VGG Image Annotator (VIA)"
    if "data_list" in tree and "metainfo" in tree:
        return "a data set in OpenMMLab's own format"
    if isinstance(tree.get("videos"), list):
        return "a file by videos, as YouTube-VIS writes it (MMDetection's youtubevis2coco.py converts it)"
    if tree.get("type") == "FeatureCollection":
        return "GeoJSON"
    return ""


def _panoptic(annotations: list[Any]) -> str:
    if annotations and isinstance(annotations[0], dict) and "segments_info" in annotations[0]:
        return "holds COCO panoptic segments and no boxes. Detection needs the 'instances' file of the data set"
    return ""


def compare_categories(train: AnnotationReport, val: AnnotationReport) -> list[str]:
    """Return a text on how the classes of two files, or their order, which numbers the labels, differ; else none.

    Args:
        train: the file that a detector is trained on.
        val: the file that it is scored against.
    """
    if not train.categories or not val.categories or train.categories == val.categories:
        return []
    differences = []
    for name, ours, theirs in ((val.key, train, val), (train.key, val, train)):
        if absent := [f"{category!r}" for category in ours.classes if category not in theirs.classes]:
            differences.append(f"{name} lacks {find(absent).listed()}")
    if not differences:
        pairs = zip(train.categories, val.categories, strict=True)
        moved = [f"{ours[0]}={ours[1]!r} against {theirs[0]}={theirs[1]!r}" for ours, theirs in pairs if ours != theirs]
        differences = [f"their order or ids differ: {find(moved).listed()}"]
    return [
        f"{val.key}={val.ann_file}: its categories are not those of {train.key}={train.ann_file} "
        f"({'; '.join(differences)}). Write the same 'categories' list into both files"
    ]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Disable cycle collection, which visits all objects repeatedly: a COCO file has millions, none in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
