"""Looks at a COCO file of images that nobody has annotated, before a training begins.

Of the file only `images` is read: COCO's own `image_info_*.json` have no annotations, and some no categories.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from vision_research.datasets.coco_entries import Images
from vision_research.datasets.coco_json import AnnotationReport
from vision_research.datasets.coco_lookalikes import describe_no_json
from vision_research.datasets.image_files import as_typed, missing_images_problem, missing_path_problem


def inspect_unlabelled(
    ann_file: Path, img_root: Path, *, key: str, prefix_key: str, root: Path | None = None
) -> AnnotationReport:
    """Read the `images` of a COCO file, and list their folders.

    Args:
        ann_file: the JSON file.
        img_root: folder that `file_name` is relative to.
        key: what to call the file in texts.
        prefix_key: what to call the image folder in texts.
        root: folder that the typed paths are relative to (`data.root`).

    Returns:
        Names, counts, and every problem found; it has no boxes.
    """
    report = AnnotationReport(ann_file, key)
    if not ann_file.is_file():
        return replace(report, problems=(missing_path_problem(key, ann_file, "file", root),))
    typed = f"{key}={as_typed(ann_file, root)}: "
    content = ann_file.read_bytes()
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        return replace(report, problems=(typed + describe_no_json(content, error),))
    listed = tree.get("images") if isinstance(tree, dict) else None
    if not isinstance(listed, list):
        wanted = f"Type {key}=FILE.json, a JSON object with the list 'images', as COCO's image_info_*.json"
        return replace(report, problems=(f"{typed}has no list 'images'. {wanted}",))
    images = Images.read(listed)
    missing = missing_images_problem(prefix_key, img_root, images.file_names, ann_file, root)
    return replace(
        report,
        num_images=images.count,
        num_empty_images=images.count,
        image_names=tuple(images.file_names),
        size_range=images.size_range(),
        digest=hashlib.sha256(content).hexdigest(),
        problems=(*(typed + text for text in images.problems()), *missing),
    )
