"""Looks at a COCO annotation file before anything is trained on it, and says in words what is wrong.

Never raises for what a file holds: every oddity is a text. What MMDetection's CocoDataset and COCO's evaluation need is
what is checked (mmdet/datasets/coco.py, `parse_data_info`). Standard library only, so that the commands stay quick.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vision_research.datasets.coco_entries import Annotations, Categories, Images
from vision_research.datasets.coco_lookalikes import describe_no_json, describe_other_format
from vision_research.datasets.findings import find
from vision_research.datasets.image_files import as_typed, missing_images_problem, missing_path_problem


@dataclass(frozen=True)
class AnnotationReport:
    """What one annotation file holds.

    Attributes:
        ann_file: the file.
        key: the key that names it, for example `data.train_ann`.
        categories: (id, name) in the order of the file. CocoDataset numbers its labels in this order, whatever the ids.
        num_images: images listed.
        num_boxes: boxes that can be trained on; crowds and dropped boxes are not among them.
        num_bad_boxes: boxes outside their image or of no size.
        num_empty_images: images without any box to train on.
        image_names: `file_name` of every image, in the order of the file.
        size_range: ((smallest width, height), (largest width, height)) in pixels; None without images.
        masks: how the boxes' objects are outlined: `polygons`, `rle` or `none`.
        has_videos: whether every image belongs to a video, and has its place there.
        digest: SHA-256 of the content, hexadecimal; empty when it could not be read.
        problems: what stops a run.
        warnings: what a run survives: boxes that are dropped, annotations that belong to no image.
    """

    ann_file: Path
    key: str
    categories: tuple[tuple[int, str], ...] = ()
    num_images: int = 0
    num_boxes: int = 0
    num_bad_boxes: int = 0
    num_empty_images: int = 0
    image_names: tuple[str, ...] = ()
    size_range: tuple[tuple[float, float], tuple[float, float]] | None = None
    masks: str = "none"
    has_videos: bool = False
    digest: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the categories, in label order."""
        return tuple(name for _, name in self.categories)


def inspect_coco(
    ann_file: Path,
    img_root: Path,
    *,
    key: str = "data.train_ann",
    prefix_key: str = "data.img_prefix",
    root: Path | None = None,
    strict: bool = False,
) -> AnnotationReport:
    """Read a COCO file and list its folders of images.

    Args:
        ann_file: the JSON file.
        img_root: folder that `file_name` is relative to.
        key: what to call the file in texts.
        prefix_key: what to call the image folder in texts.
        root: folder that the typed paths are relative to (`data.root`).
        strict: make boxes that would be dropped a problem.

    Returns:
        Counts, classes, and every problem found. A file that cannot be read as COCO has one problem and counts of 0.
    """
    prefix = f"{key}={as_typed(ann_file, root)}: "
    report = AnnotationReport(ann_file, key)
    if not ann_file.is_file():
        return replace(report, problems=(missing_path_problem(key, ann_file, "file", root),))
    try:
        content = ann_file.read_bytes()
    except OSError as error:
        return replace(report, problems=(f"{prefix}cannot be read ({error.strerror}). Type {key}=<file>",))
    with _without_garbage_collection():
        report = _inspect_content(content, report, prefix, strict)
    missing = missing_images_problem(prefix_key, img_root, report.image_names, ann_file, root)
    return replace(report, problems=(*report.problems, *missing))


def _inspect_content(content: bytes, report: AnnotationReport, prefix: str, strict: bool) -> AnnotationReport:
    report = replace(report, digest=hashlib.sha256(content).hexdigest())
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        return replace(report, problems=(prefix + describe_no_json(content, error),))
    if other := describe_other_format(tree):
        return replace(report, problems=(prefix + other,))
    return _inspect_tree(tree, report, prefix, strict)


def _inspect_tree(tree: dict[str, Any], report: AnnotationReport, prefix: str, strict: bool) -> AnnotationReport:
    categories = Categories.read(tree["categories"])
    images = Images.read(tree["images"])
    annotations = Annotations.read(tree["annotations"], images, categories)
    found = (*categories.problems(), *images.problems(), *annotations.problems())
    problems = [prefix + text for text in found]
    dropped = [prefix + text for text in annotations.dropped()]
    problems += [f"{text}. Mend the file, or type data.strict=false to drop them" for text in dropped] if strict else []
    return replace(
        report,
        categories=tuple(categories.names.items()),
        num_images=images.count,
        num_boxes=annotations.num_boxes,
        num_bad_boxes=annotations.num_bad_boxes,
        num_empty_images=images.count - len(annotations.images_with_boxes),
        image_names=tuple(images.file_names),
        size_range=images.size_range(),
        masks=annotations.masks,
        has_videos=images.count > 0 and images.num_frames == images.count,
        problems=tuple(problems),
        warnings=()
        if strict
        else tuple(f"{text}. They are dropped; data.strict=true refuses them" for text in dropped),
    )


def compare_categories(train: AnnotationReport, val: AnnotationReport) -> list[str]:
    """Compare the classes of two files: a detector trained on one is scored by the other.

    Args:
        train: the file the classes are read from.
        val: the other.

    Returns:
        No text, or one that shows the difference. The order counts as well as the names: labels are numbered by it.
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
    """Run without cycle collection: it walks all objects again and again, and a COCO file has millions.

    Nothing made here has cycles.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
