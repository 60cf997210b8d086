"""The interface of an annotation format: how its files are checked, and which data set of MMDetection reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vision_research.config.addresses import join
from vision_research.datasets.image_files import as_typed, missing_images_problem, missing_path_problem
from vision_research.datasets.report import AnnotationReport
from vision_research.storage.s3.path import as_path


@dataclass(frozen=True)
class SplitFiles:
    """The annotation file and the image folder of a split, as they were typed.

    Attributes:
        name: `train`, `val`, `test`, or the name of a feed; it is part of the keys (`data.train_ann`).
        ann: annotation file, relative to the root of the data.
        prefix: image folder of this split alone, or None.
        img_prefix: image folder of all splits that have none of their own.
        format: format of the annotations.
        is_trained_on: whether a detector is trained on its images.
        has_objects: whether its classes and objects are read.
    """

    name: str
    ann: str
    prefix: str | None
    img_prefix: str
    format: AnnotationFormat
    is_trained_on: bool = False
    has_objects: bool = True

    @property
    def key(self) -> str:
        """The key of the annotation file."""
        return f"data.{self.name}_ann"

    @property
    def prefix_key(self) -> str:
        """The key that names the folder of the images."""
        return "data.img_prefix" if self.prefix is None else f"data.{self.name}_prefix"

    @property
    def images(self) -> str:
        """The folder of the images, relative to the root."""
        return self.img_prefix if self.prefix is None else self.prefix

    def inspect(self, root: Path, strict: bool = False) -> AnnotationReport:
        """Check the annotation file and whether the images are there.

        Args:
            root: folder of the data, on this machine or in S3.
            strict: report boxes that would be dropped as problems.
        """
        return self.format.inspect(self, root, strict)

    def ann_file(self, root: Path) -> Path:
        """Return the annotation file, on this machine or in S3."""
        return as_path(join(str(root), self.ann))

    def image_root(self, root: Path) -> Path:
        """Return the folder of the images, on this machine or in S3."""
        return as_path(join(str(root), self.images))


class AnnotationFormat(ABC):
    """A format of annotations.

    Attributes:
        lists_classes: whether a file lists all classes; otherwise its classes are those that occur in it.
        has_coco_file: whether the COCO evaluation can read the annotation file; otherwise it takes the objects from
            the samples.
    """

    lists_classes: ClassVar[bool] = True
    has_coco_file: ClassVar[bool] = True

    def inspect(self, split: SplitFiles, root: Path, strict: bool) -> AnnotationReport:
        """Check the annotation file of a split and whether its images are there; problems are texts in the report.

        Args:
            split: the files and their keys.
            root: folder of the data, on this machine or in S3.
            strict: report boxes that would be dropped as problems.
        """
        file = split.ann_file(root)
        report = AnnotationReport(file, split.key)
        if not file.is_file():
            return report.with_problems([missing_path_problem(split.key, file, "file", root)])
        report = self.read(report, root).finished(f"{split.key}={as_typed(file, root)}: ", strict)
        images = split.image_root(root)
        return report.with_problems(missing_images_problem(split.prefix_key, images, report.image_names, file, root))

    @abstractmethod
    def read(self, report: AnnotationReport, root: Path) -> AnnotationReport:
        """Read an annotation file that exists; never raise because of its content.

        Args:
            report: an empty report of the file.
            root: folder of the data, on this machine or in S3.

        Returns:
            The report with counts, classes, every problem found, and what would be dropped as warnings.
        """

    @abstractmethod
    def dataset(self, images: str) -> dict[str, Any]:
        """Return the type and the folders of MMDetection's data set, for images in a folder relative to `data.root`."""

    def image_names(self, content: bytes) -> Iterable[str]:
        """Return the file names of the images that an annotation file lists, relative to their folder.

        Raises:
            ValueError: the format does not list file names, so that the images cannot be packed.
        """
        raise ValueError("lists no image files")
