"""What was found in an annotation file of any format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

# Messages of boxes that training and evaluation leave out.
DROPPED_BOXES = {
    "sizeless": ("box", "{counted} of zero size or under 1 pixel ({listed})"),
    "outside": ("box", "{counted} outside the image ({listed})"),
}


@dataclass(frozen=True)
class AnnotationReport:
    """The content of an annotation file.

    Attributes:
        ann_file: the file.
        key: the key that names it, for example `data.train_ann`.
        categories: (id, name) in the order of the file, in which CocoDataset numbers its labels, whatever the ids are.
        num_images: images listed.
        num_boxes: boxes that can be trained on, without crowds and dropped boxes.
        image_names: `file_name` of every image, in the order of the file.
        masks: the form of the masks: `polygons`, `rle` or `none`.
        has_videos: whether every image belongs to a video and has a position in it.
        digest: SHA-256 of the content, hexadecimal; empty if it could not be read.
        problems: what stops a run.
        warnings: what does not stop a run: boxes that are dropped, annotations that belong to no image.
    """

    ann_file: Path
    key: str
    categories: tuple[tuple[int, str], ...] = ()
    num_images: int = 0
    num_boxes: int = 0
    image_names: tuple[str, ...] = ()
    masks: str = "none"
    has_videos: bool = False
    digest: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the categories, in label order."""
        return tuple(name for _, name in self.categories)

    def with_problems(self, problems: Iterable[str]) -> AnnotationReport:
        """Return the report with these problems added."""
        return replace(self, problems=(*self.problems, *problems))

    def with_dropped(self, dropped: Iterable[str], strict: bool) -> AnnotationReport:
        """Return the report with what is dropped added.

        Args:
            dropped: texts.
            strict: add them as problems; else as warnings.
        """
        if strict:
            return self.with_problems(
                f"{text}. Mend the file, or type data.strict=false to drop them" for text in dropped
            )
        warnings = (f"{text}. They are dropped; data.strict=true refuses them" for text in dropped)
        return replace(self, warnings=(*self.warnings, *warnings))
