"""COCO JSON as an annotation format, of single images and of the frames of videos (CocoVID)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vision_research.datasets.annotation_format import AnnotationFormat, SplitFiles
from vision_research.datasets.coco.inspection import read_coco
from vision_research.datasets.report import AnnotationReport


class Coco(AnnotationFormat):
    """COCO JSON."""

    def read(self, report: AnnotationReport, root: Path) -> AnnotationReport:
        """Read the JSON file."""
        return read_coco(report)

    def dataset(self, images: str) -> dict[str, Any]:
        """Return the config of a CocoDataset."""
        return {"type": "CocoDataset", "data_prefix": {"img": images}}

    def image_names(self, content: bytes) -> Iterable[str]:
        """Return the `file_name` of every image."""
        return [image["file_name"] for image in json.loads(content)["images"]]


class CocoVideos(Coco):
    """COCO JSON whose images are frames of videos.

    Args:
        converter: MMDetection's script that writes such a file.
    """

    def __init__(self, converter: str) -> None:
        self._converter = converter

    def inspect(self, split: SplitFiles, root: Path, strict: bool) -> AnnotationReport:
        """Check the JSON file; images without a video are a problem."""
        report = super().inspect(split, root, strict)
        if not report.num_images or report.has_videos:
            return report
        problem = (
            f"{report.key}={report.ann_file}: not every image has a 'video_id' and a 'frame_id', so they are no "
            f"videos. Write the file with MMDetection's tools/dataset_converters/{self._converter}, or type data=coco "
            "to train on single images"
        )
        return report.with_problems([problem])
