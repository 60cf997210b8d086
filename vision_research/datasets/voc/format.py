"""Pascal VOC as an annotation format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.datasets.annotation_format import AnnotationFormat
from vision_research.datasets.report import AnnotationReport
from vision_research.datasets.voc.inspection import read_voc


class Voc(AnnotationFormat):
    """A list of images and an XML file for each."""

    # A split may lack a rare class without being wrong.
    lists_classes = False
    has_coco_file = False

    def read(self, report: AnnotationReport, root: Path) -> AnnotationReport:
        """Read the list and the XML files."""
        return read_voc(report, root)

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
