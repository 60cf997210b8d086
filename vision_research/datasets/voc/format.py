"""Pascal VOC as an annotation format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.datasets.annotation_format import AnnotationFormat, SplitFiles
from vision_research.datasets.report import AnnotationReport
from vision_research.datasets.voc.inspection import inspect_voc


class Voc(AnnotationFormat):
    """A list of images and an XML file for each."""

    # A split may lack a rare class without being wrong.
    lists_classes = False
    has_coco_file = False

    def inspect(self, split: SplitFiles, root: Path, strict: bool) -> AnnotationReport:
        """Check the list and the XML files; see `AnnotationFormat.inspect`.

        Args:
            split: the files and their keys.
            root: folder of the data.
            strict: report boxes that would be dropped as problems.
        """
        names = {"key": split.key, "prefix_key": split.prefix_key}
        return inspect_voc(split.ann_file(root), root, split.image_root(root), **names, strict=strict)

    def dataset(self, images: str) -> dict[str, Any]:
        """Return the config of a VOCFolderDataset.

        It reads <data_root>/<sub_data_root>/{JPEGImages,Annotations}; `data.root` is the VOC folder itself.
        """
        return {
            "type": "VOCFolderDataset",
            "data_prefix": {"sub_data_root": ""},
            "img_subdir": images.rstrip("/"),
            "ann_subdir": "Annotations",
        }
