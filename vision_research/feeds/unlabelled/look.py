"""The annotation format of unlabelled images: a COCO file, of which only `images` is read.

COCO's own `image_info_*.json` have no annotations, and some have no categories.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.coco.entries import Images
from vision_research.datasets.coco.format import Coco
from vision_research.datasets.coco.inspection import describe_no_json
from vision_research.datasets.image_files import as_typed, missing_images_problem, missing_path_problem
from vision_research.datasets.report import AnnotationReport


class ImageList(Coco):
    """The `images` of a COCO file."""

    def inspect(self, split: SplitFiles, root: Path, strict: bool) -> AnnotationReport:
        """Read the `images`, and list their folders; there are no boxes."""
        return _inspect(split.ann_file(root), split.image_root(root), split.key, split.prefix_key, root)

    def dataset(self, images: str) -> dict[str, Any]:
        """Return our UnlabelledDataset."""
        return {"type": "UnlabelledDataset", "data_prefix": {"img": images}}


def _inspect(ann_file: Path, img_root: Path, key: str, prefix_key: str, root: Path) -> AnnotationReport:
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
    images = Images(listed)
    missing = missing_images_problem(prefix_key, img_root, list(images.names.values()), ann_file, root)
    return replace(
        report,
        num_images=images.count,
        image_names=tuple(images.names.values()),
        digest=hashlib.sha256(content).hexdigest(),
        problems=(*(typed + text for text in images.problems), *missing),
    )
